"""The command nas.proxy: studies that are trained, runs that are there, and what is said of them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.record.journal import read_record
from nas.record.trial import best_trials
from proxy_tasks.landscape import true_score
from tests.conftest import TINY_LANDSCAPE, Run
from tests.nas.reporting.reported_runs import config_of, write_run

STUDY = ("task=landscape", "executor=local", "tracking=none", "run=run", "task.noise=0.1")
TARGET = "target=[fidelity.epochs=400]"

MODULE = '''
import os
import signal
from pathlib import Path

import numpy as np

from proxy_tasks import Evaluation
from proxy_tasks.landscape import Landscape


class Blind(Landscape):
    """Rewards that depend on the seed alone, and on chance."""

    def evaluate(self, spec, *, fidelity, seed, **how):
        rng = np.random.default_rng([int(spec.key, 16), seed])
        return Evaluation({"ap": rng.random(), **self.costs(spec)})


class Timed(Landscape):
    """The landscape with times and a loss that ranks as it does from the second half on; ends its process once."""

    def evaluate(self, spec, *, fidelity, seed, **how):
        with open("evaluations", "a") as file:
            print(spec.key, seed, fidelity.epochs, file=file)
        if Path("kill").exists() and len(Path("evaluations").read_text().splitlines()) == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        found = super().evaluate(spec, fidelity=fidelity, seed=seed, **how)
        loss = 1 - found.metrics["ap"]
        return Evaluation(found.metrics, {"train": 2.0 * fidelity.epochs}, (1 - loss, 0.5, loss, loss))
'''


def test_seeds_that_there_are_not_are_refused_in_one_line_before_anything_is_trained(call: Run, tmp_path: Path) -> None:
    for options, message in (
        (("seeds=1001",), r"seeds must be from 2 to 1000 \(each architecture is trained as often\), got 1001"),
        (
            ("seeds=2", "seed=4294967295"),
            r"seeds=2: they are counted from seed=4294967295 on, and seed must be 0 to \d+, got \d+",
        ),
    ):
        refused = call("nas.proxy", *STUDY, "num_architectures=6", *options)
        assert refused.returncode == 2
        assert re.fullmatch(rf"error: {message}\n", refused.stderr)
        assert not (tmp_path / "run").exists()


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crafted.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine" / "task").mkdir(parents=True)
    for name in ("Blind", "Timed"):
        yaml = f"# One of the tests'.\n_target_: crafted.{name}\n# Noise.\nnoise: 0.05\n"
        (tmp_path / "mine" / "task" / f"{name.lower()}.yaml").write_text(yaml)


def figures(done: Any) -> dict[str, Any]:  # noqa: ANN401  # what a command printed
    assert (done.returncode, done.stderr) == (0, "")
    return {proxy["figures"]["name"]: proxy for proxy in json.loads(done.stdout)["proxies"]}


def test_on_a_landscape_with_noise_the_figures_are_those_that_follow_from_it(call: Run, tmp_path: Path) -> None:
    done = call("nas.proxy", *STUDY, "fidelity.epochs=1", "num_architectures=40", "seeds=3", "format=json")
    (proxy,) = figures(done).values()
    record = read_record(tmp_path / "run" / "proxy" / "study" / "configuration" / "seed0")
    scores = [true_score(trial.spec) for trial in record.trials.values()]
    assert len(scores) == 40

    found, variance = proxy["figures"], np.var(scores, ddof=1)
    for name, truth in (
        ("within", 0.1),
        ("between", math.sqrt(variance)),
        ("intraclass", variance / (variance + 0.1**2)),
    ):
        assert found[name]["low"] <= truth <= found[name]["high"], name
    # Two trainings differ by sqrt(2) times the noise; 80 degrees of freedom know it within a quarter.
    assert found["smallest_difference"] == pytest.approx(1.96 * math.sqrt(2) * 0.1, rel=0.25)
    assert found["target"] is None
    assert proxy["verdict"].startswith("two architectures must differ by 0.")


@pytest.mark.long
def test_candidates_are_paired_on_equal_architectures_and_seeds(call: Run, tmp_path: Path) -> None:
    candidates = ("candidates.short=[fidelity.epochs=1]", "candidates.long=[fidelity.epochs=100]")
    arguments = (*STUDY, TARGET, *candidates, "num_architectures=18")
    done = call("nas.proxy", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "18 architectures against target, each figure with its 95 % interval" in done.stdout
    assert re.search(r"ranks best: long\nshort less long: Spearman -0\.\d+ \[.*\]: long ranks better\n", done.stdout)

    runs = {
        (name, seed): read_record(tmp_path / "run" / "proxy" / "study" / name / f"seed{seed}")
        for name in ("short", "long", "target")
        for seed in (0, 1)
    }
    assert len({tuple(trial.key for trial in record.trials.values()) for record in runs.values()}) == 1
    for (name, seed), record in runs.items():
        assert record.created.config["seed"] == seed
        assert record.created.config["fidelity"]["epochs"] == {"short": 1, "long": 100, "target": 400}[name]

    page = tmp_path / "run" / "proxy" / "study" / "proxy.html"
    assert done.stdout.endswith("run/proxy/study/proxy.html: all of this as a page, open it in a browser\n")
    assert "long ranks better" in page.read_text()

    # The same command again trains nothing, and another format has the same figures.
    shown = figures(call("nas.proxy", *arguments, "format=json"))
    assert [*shown] == ["short", "long", "target"]
    assert shown["long"]["figures"]["target"]["overall"]["spearman"]["value"] > 0.9
    assert f"{shown['short']['figures']['intraclass']['value']:.3g} [" in done.stdout


@pytest.mark.long
def test_the_best_of_the_run_are_in_the_sample_and_a_study_keeps_what_it_was_begun_with(
    call: Run, tmp_path: Path
) -> None:
    search = (*TINY_LANDSCAPE[:3], "task.noise=0.1", "tracking=none")
    assert call("nas.search", *search, "num_trials=20").returncode == 0
    best = {trial.key for trial in best_trials(read_record(tmp_path / "run").trials, 2)}
    # The run says which task, and how it is computed.
    assert call("nas.proxy", "run=run", "num_architectures=6").returncode == 0
    folder = tmp_path / "run" / "proxy" / "study" / "configuration"
    keys = [trial.key for trial in read_record(folder / "seed0").trials.values()]
    assert best <= set(keys)

    # The search goes on and finds others; a seed more is trained on those of before.
    assert call("nas.search", *search, "num_trials=60").returncode == 0
    assert call("nas.proxy", "run=run", "num_architectures=6", "seeds=3").returncode == 0
    assert [trial.key for trial in read_record(folder / "seed2").trials.values()] == keys
    done = call("nas.proxy", "run=run", "num_architectures=9")
    assert done.stderr == (
        "error: the study run/proxy/study was begun with num_architectures=6, now it is 9; use the recorded value, or "
        "name another study with study=...\n"
    )


def test_a_task_that_ignores_the_architecture_does_not_rank(call: Run, own_tasks: None) -> None:
    done = call("nas.proxy", "--config-dir", "mine", "task=blind", *STUDY[1:4], "num_architectures=20")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nconfiguration: does not rank: " in done.stdout


@pytest.mark.long
def test_a_study_that_is_killed_resumes_where_it_was(command: Run, tmp_path: Path, own_tasks: None) -> None:
    arguments = ("--config-dir", "mine", "task=timed", *STUDY[1:4], "num_architectures=6", TARGET, "format=json")
    (tmp_path / "kill").touch()
    assert command("nas.proxy", *arguments).returncode < 0
    (tmp_path / "kill").unlink()

    # JSON alone on standard output; what was under way when the process was killed is trained once more.
    shown = figures(command("nas.proxy", *arguments))
    trained = (tmp_path / "evaluations").read_text().splitlines()
    assert len(trained) == 6 * 2 * 2 + 1
    assert len(set(trained)) == 6 * 2 * 2

    proxy = shown["configuration"]["figures"]
    assert proxy["seconds"] == {"value": 10, "low": 10, "high": 10}
    ranking = proxy["target"]["overall"]["spearman"]["value"]
    assert proxy["target"]["per_second"]["value"] == pytest.approx(ranking / 10)
    # The loss ranks backwards, then not at all, then as the reward does.
    curve = [point["spearman"]["value"] for point in proxy["curve"]]
    assert curve[1] is None
    assert (curve[0], curve[2], curve[3]) == pytest.approx((-ranking, ranking, ranking))
    assert proxy["settles_at"] == 0.75


def test_runs_that_are_there_are_grouped_by_what_differs_besides_the_seed(call: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(12)
    for epochs, noise in ((1, 0.2), (5, 0.01)):
        for seed in (0, 1):
            rewards: list[float | None] = [*(truth + noise * rng.normal(size=12)).tolist()]
            if (epochs, seed) == (5, 1):
                rewards[3] = None
            # Options that the older of two runs does not have on record make no other proxy.
            younger = {"scale": {"stem_width": 64}} if seed == 1 else {}
            config = config_of(seed=seed, fidelity={"epochs": epochs}, **younger)
            write_run(tmp_path / "runs" / f"{epochs}-{seed}", rewards, config | {"seed": seed})

    folders = ",".join(f"runs/{epochs}-{seed}" for epochs in (1, 5) for seed in (0, 1))
    done = call("nas.proxy", f"runs=[{folders}]", "target=[fidelity.epochs=5.0]")
    assert (done.returncode, done.stderr) == (0, "")
    assert "11 architectures against fidelity.epochs=5, each" in done.stdout
    assert "\nfidelity.epochs=1: " in done.stdout
    assert "left out, as they lack a reward in some run: 1 architectures" in done.stdout
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_file()] == ["proxy.html"]

    for arguments, message in (
        (("runs=[runs/1-0,runs/1-1,runs/5-0]",), "fidelity.epochs=5: has runs of one seed only, 0; how far seeds .*"),
        (("runs=runs/1-0",), "proxy: has runs of one seed only, 0; .*"),
        (("runs=[runs/1-0,runs/1-0]",), "runs: runs/1-0 and runs/1-0 are the same proxy with the same seed, 0"),
        ((f"runs=[{folders}]", "target=[fidelity.epoch=5]"), "target: no run has the option fidelity.epoch .*epochs.*"),
        ((f"runs=[{folders}]", "target=[fidelity.epochs=7]"), "target: no proxies have these values of .*"),
        ((f"runs=[{folders}]", "candidates.a=null"), "candidates: are trained, and with runs= nothing is; .*"),
    ):
        refused = call("nas.proxy", *arguments)
        assert refused.returncode == 2
        assert re.fullmatch(rf"error: {message}\n", refused.stderr), refused.stderr


def test_runs_without_common_architectures_are_refused_in_one_line(call: Run) -> None:
    for seed in (0, 1):
        search = (*TINY_LANDSCAPE[:2], "controller=random", f"run=r{seed}", "num_trials=5", f"seed={seed}")
        assert call("nas.search", *search, "tracking=none").returncode == 0
    done = call("nas.proxy", "runs=[r0,r1]")
    assert done.returncode == 2
    assert done.stderr == (
        "error: 0 architectures have a reward in every run, and 3 or more are needed; architectures with a reward are "
        "proxy with seed 0: 5, proxy with seed 1: 5\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seeds=1",), "seeds must be 2 or more, got 1: how far seeds of one architecture differ takes two"),
        (("runs=[]",), "runs: needs a folder"),
        (("num_architectures=2",), "num_architectures must be 3 or more, got 2"),
        (("candidates.a=[fidelity.epoch=1]",), r"candidates\.a: unknown option fidelity\.epoch; did you mean .*"),
        (("candidates.a=[scale=tinny]",), r"candidates\.a: unknown choice scale=tinny; there are .*"),
        (("target=[fidelity.epochs=0]",), r"fidelity: epochs must be .*"),
        (("candidates.a=[seed=3]",), r"candidates\.a: seed is shared by all proxies of a study; .*"),
        (("candidates.a=[space.window=3]",), r"candidates\.a: space is shared by all proxies of a study; .*"),
        (("candidates.a=[tiny]",), r"candidates\.a: needs overrides as .*got 'tiny'"),
        (("candidates.target=null",), r"candidates: a name needs letters, .*"),
        (("target=[]",), "target: is the same configuration as configuration"),
        (("study=../x",), r"study: needs letters, digits, dots and hyphens, got '\.\./x'"),
    ],
)
def test_mistakes_are_one_line_and_make_no_folder(
    call: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = call("nas.proxy", *STUDY, *arguments)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: {message}\n", done.stderr), done.stderr
    assert not list(tmp_path.iterdir())
