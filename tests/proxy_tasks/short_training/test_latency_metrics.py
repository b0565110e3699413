"""The latency of trials: a metric that costs nobody the AP that was trained for."""

import dataclasses
import math
import sys
from pathlib import Path

import pytest

from foundation import InputError
from nas.engine.job import Outcome
from nas.engine.reward import MetricReward, Target, TargetReward
from nas.engine.told import told_of
from proxy_tasks import Fidelity, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.training.recipe import Recipe
from search_space import ArchSpec, Candidate, ModelScale, published_spec
from search_space.spec import BlockSpec

# One block for each level, as it is written the fastest as a file.
SPEC = ArchSpec(
    published_spec("spinenet-49").stem,
    tuple(BlockSpec(level, "residual", (0, 1), is_output=True) for level in range(3, 8)),
)
SCALE = ModelScale(
    width_multiplier=0.0625, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=64, anchor_scale=2.0
)
RECIPE = Recipe(batch_size=4, optimizer="adamw", learning_rate=4e-3, schedule="one_cycle")
QUICK = Fidelity(0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    task(made).prepare(silent)
    return made


def task(folder: Path, latency: LatencyOptions | bool = False) -> DetectionProxy:  # as a person gives it
    shapes = Shapes(folder / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8)
    return DetectionProxy(shapes, SCALE, RECIPE, cache_dir=folder / "cache", latency=latency)


def command(line: str, **options: float) -> LatencyOptions:
    return LatencyOptions("command", f"{line}; : {{file}}", "my nano", **{"num_calls": 1, **options})  # type: ignore[arg-type]  # numbers


def test_a_latency_is_a_metric_with_its_conditions_and_changes_no_other(folder: Path) -> None:
    with_latency = task(folder, latency=True)
    timed, again, plain = (
        t.evaluate(Candidate(SPEC), fidelity=QUICK, seed=0) for t in (with_latency, with_latency, task(folder))
    )
    own = {name: value for name, value in timed.metrics.items() if "latency" in name}
    assert {name: value for name, value in timed.metrics.items() if name not in own} == plain.metrics
    assert set(timed.metrics) - set(own) | {"latency_ms"} == set(with_latency.metric_names)

    median, *named = own
    assert own[median] > 0
    assert named[0].startswith("latency_ms/torch ")
    assert named[0].endswith(" 20 runs after 5")
    assert "thread" in named[0]
    assert own[named[0]] == own[median]
    assert named[1] == named[0].replace("_ms", "_spread_ms")
    # Kept from the first: nothing is timed twice.
    assert {name: again.metrics[name] for name in own} == own


@pytest.mark.long
def test_a_latency_that_fails_loses_no_ap(folder: Path) -> None:
    failing = task(folder, command("echo no such host >&2; exit 255"))
    plain = task(folder).evaluate(Candidate(SPEC), fidelity=QUICK, seed=0).metrics
    found = failing.evaluate(Candidate(SPEC), fidelity=QUICK, seed=0)
    assert math.isnan(found.metrics["latency_ms"])
    assert {name: value for name, value in found.metrics.items() if name != "latency_ms"} == plain
    (remark,) = found.remarks
    assert remark.startswith("latency_ms was not measured: latency.command ended with status 255: no such host (")

    # A reward of AP alone has all it needs; one that needs the latency has none to give, and AP stays on record.
    told = told_of(Outcome(0, found), MetricReward("ap"))
    assert (told.status, told.reward, told.metrics, told.remarks) == ("completed", plain["ap"], plain, (remark,))
    told = told_of(Outcome(0, found), TargetReward("ap", latency_ms=Target(5)))
    assert (told.status, told.reward, told.metrics, told.remarks) == ("failed", None, plain, (remark,))


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["onnxruntime", "command"])
def test_one_network_is_timed_before_any_is_trained_and_once(folder: Path, runtime: str) -> None:
    count = f"echo x >> {folder}/calls; wc -l < {folder}/calls"
    options = command(count) if runtime == "command" else LatencyOptions("onnxruntime")
    done: list[tuple[str, int, int]] = []
    lines = task(folder, options).prepare(lambda *progress: done.append(progress))
    assert lines[-1].startswith("latency of spinenet-49: ")
    assert done[-1] == ("timing spinenet-49", *((1, 1) if runtime == "command" else (20, 20)))
    assert task(folder, options).prepare(lambda *progress: done.clear()) == lines
    assert done

    # The baseline of a search is the network that was timed; another spec is timed for itself.
    found = [task(folder, options).evaluate_baseline("spinenet-49", fidelity=QUICK, seed=seed) for seed in (0, 1)]
    own = task(folder, options).evaluate(Candidate(SPEC), fidelity=QUICK, seed=0)
    first, second = (one.metrics["latency_ms"] for one in found)
    assert first == second
    if runtime == "command":
        assert (first, own.metrics["latency_ms"], own.metrics["latency_ms/command float32 on my nano 1 calls"]) == (
            1,
            2,
            2,
        )


@pytest.mark.parametrize("runtime", ["onnxruntime", "command"])
def test_a_missing_package_is_one_line_where_a_search_and_a_worker_begin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    # As Python has it where a module was not installed.
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    options = command("echo 3") if runtime == "command" else LatencyOptions("onnxruntime")
    message = rf"^task\.latency\.runtime={runtime} needs the packages .*: pip install 'spinenet-search\[onnx\]'$"
    for begin in (lambda: task(folder, options).prepare(silent), task(folder, options).load):
        with pytest.raises(InputError, match=message):
            begin()
    task(folder, latency=True).load()


def test_how_long_is_waited_may_change_between_two_starts_and_what_is_measured_may_not(folder: Path) -> None:
    rules = task(folder).option_rules
    assert "latency.timeout_s" in rules.machine
    assert {f"latency.{name}": value for name, value in dataclasses.asdict(LatencyOptions()).items()}.items() <= (
        rules.added_since.items()
    )
