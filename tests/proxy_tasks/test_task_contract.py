"""The contract suite of proxy tasks; a new task joins by one line."""

import inspect
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gradient_norm import GradientNorm

from benchmarks.learning import Learning
from proxy_tasks import Evaluation, Fidelity, LossLimit, ProxyTask, Weights, silent
from proxy_tasks.base import BaselineTask, DataTask, StoppableTask
from proxy_tasks.classification.class_shapes import ClassShapes
from proxy_tasks.classification.task import ClassificationProxy
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.landscape import Landscape
from proxy_tasks.neutral_landscape import NeutralLandscape
from proxy_tasks.resolution_landscape import ResolutionLandscape
from proxy_tasks.segmentation.task import SegmentationProxy
from proxy_tasks.surrogate.task import TableSurrogate
from proxy_tasks.training.recipe import Recipe
from search_space import (
    ArchSpec,
    BlockSpec,
    Candidate,
    ModelScale,
    ScalePermutedSpace,
    published_names,
    published_spec,
    resnet_seed,
)

FIDELITY = Fidelity(epochs=1, max_train_images=16)
TABLE = Path(__file__).parents[2] / "benchmarks" / "tables" / "quickstart.jsonl.gz"
SCALE = ModelScale(
    width_multiplier=0.0625,
    resample_alpha=0.5,
    endpoint_width=8,
    num_head_convs=1,
    head_width=8,
    image_size_px=64,
)
RECIPE = Recipe(batch_size=8, optimizer="adamw", learning_rate=1e-3, schedule="one_cycle")


def tiny_detection(folder: Path) -> DetectionProxy:
    return DetectionProxy(
        data=Shapes(folder / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8),
        scale=SCALE,
        recipe=RECIPE,
        cache_dir=folder / "cache",
    )


def tiny_segmentation(folder: Path) -> SegmentationProxy:
    shapes = Shapes(
        folder / "shapes", num_train_images=20, num_val_images=4, image_size_px=64, num_held_out=4, masks=True
    )
    return SegmentationProxy(shapes, SCALE, RECIPE, cache_dir=folder / "cache")


def tiny_classification(folder: Path) -> ClassificationProxy:
    shapes = ClassShapes(folder / "shapes", num_train_images=25, num_val_images=5, num_held_out=8)
    return ClassificationProxy(shapes, SCALE, RECIPE, cache_dir=folder / "cache")


TASKS: dict[str, Callable[[Path], ProxyTask]] = {
    "detection": tiny_detection,
    "segmentation": tiny_segmentation,
    "classification": tiny_classification,
    "landscape": lambda folder: Landscape(),
    "noisy_landscape": lambda folder: Landscape(noise=0.1),
    "neutral_landscape": lambda folder: NeutralLandscape(noise=0.1),
    "resolution_landscape": lambda folder: ResolutionLandscape(),
    # Some specs of this suite are far outside any table.
    "table": lambda folder: TableSurrogate(TABLE, ScalePermutedSpace(resnet_seed("r0-sp53")), refuse_outside=False),
    "learning": lambda folder: Learning(),
    "of the examples": lambda folder: GradientNorm(SCALE, batch_size=2),
}


# Mask R-CNN on the smallest images there are takes several times what the others do.
_LONG = ("segmentation",)
_PARAMS = [pytest.param(make, marks=pytest.mark.long if name in _LONG else (), id=name) for name, make in TASKS.items()]


@pytest.fixture(params=_PARAMS)
def task(request: pytest.FixtureRequest, tmp_path: Path) -> ProxyTask:
    made: ProxyTask = request.param(tmp_path)
    made.prepare(silent)
    return made


def random_spec(seed: int) -> ArchSpec:
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    return space.decode(space.sample(np.random.default_rng(seed))).spec


def test_the_same_arguments_give_the_same_metrics(task: ProxyTask) -> None:
    spec = random_spec(0)
    first = task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=1)
    task.evaluate(Candidate(random_spec(1)), fidelity=FIDELITY, seed=2)
    assert task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=1).metrics == first.metrics


def test_what_is_computed_in_is_a_small_value_that_an_evaluation_does_not_change(task: ProxyTask) -> None:
    task.load()
    numerics = task.numerics()
    task.evaluate(Candidate(random_spec(0)), fidelity=FIDELITY, seed=1)
    assert pickle.loads(pickle.dumps(task.numerics())) == numerics
    assert hash(task.numerics()) == hash(numerics)
    # Only what trains nothing is the same everywhere.
    assert (numerics is None) == isinstance(task, Landscape | TableSurrogate)


def test_every_metric_that_is_promised_is_there_and_finite(task: ProxyTask) -> None:
    metrics = task.evaluate(Candidate(published_spec("spinenet-49")), fidelity=FIDELITY, seed=0).metrics
    assert set(metrics) == set(task.metric_names)
    assert all(math.isfinite(value) for value in metrics.values())
    # The first is what a search maximises unless its reward names another.
    assert 0 <= metrics[task.metric_names[0]] <= 1


def test_equal_keys_give_equal_metrics(task: ProxyTask) -> None:
    # What reuse rests on: blocks that reach no output, and where they stand, must not change the result.
    stem = published_spec("spinenet-49").stem
    lean = (BlockSpec(4, "bottleneck", (0, 1)), BlockSpec(5, "bottleneck", (1, 2), True))
    dead_first = (BlockSpec(3, "residual", (0, 1)), lean[0], BlockSpec(5, "bottleneck", (1, 3), True))
    dead_last = (lean[0], BlockSpec(3, "residual", (0, 1)), lean[1])
    first, last = (ArchSpec(stem, blocks) for blocks in (dead_first, dead_last))
    assert first.key == last.key
    results = [task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=0).metrics for spec in (first, last)]
    assert results[0] == results[1]


def test_a_task_is_small_and_crosses_processes(task: ProxyTask) -> None:
    # As a search hands it to its workers.
    tied = task.tied_to_data() if isinstance(task, DataTask) else task
    pickled = pickle.dumps(tied)
    assert len(pickled) < 10_000
    again: ProxyTask = pickle.loads(pickled)
    spec = random_spec(0)
    assert (
        again.evaluate(Candidate(spec), fidelity=FIDELITY, seed=0).metrics
        == task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=0).metrics
    )


def test_preparing_again_makes_nothing_and_says_the_same(task: ProxyTask) -> None:
    reports: list[str] = []
    first, second = (task.prepare(lambda what, done, total: reports.append(what)) for _ in range(2))
    assert reports == []
    assert first == second


def test_a_task_that_data_can_be_moved_from_says_what_its_content_is(task: ProxyTask) -> None:
    if not isinstance(task, DataTask):
        assert not task.option_rules.places
        return
    assert not task.data_content
    assert task.tied_to_data().data_content


def test_what_preparing_says_are_lines(task: ProxyTask) -> None:
    for line in task.prepare(silent):
        assert line.strip()
        assert line.isprintable()


def test_what_was_prepared_is_sound(task: ProxyTask) -> None:
    task.verify(silent)


def test_costs_are_those_among_the_metrics(task: ProxyTask) -> None:
    spec = random_spec(3)
    metrics = task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=0).metrics
    assert task.costs(Candidate(spec)) == {name: metrics[name] for name in task.cost_names}


def test_names_are_promised_once(task: ProxyTask) -> None:
    assert set(task.cost_names) <= set(task.metric_names)
    for names in (task.cost_names, task.metric_names):
        assert len(set(names)) == len(names)


def test_the_rules_name_options_of_the_constructor(task: ProxyTask) -> None:
    rules = task.option_rules
    named = {*rules.machine, *rules.replay, *(option.partition("=")[0] for option in rules.optional_metrics.values())}
    # With dots: an option of an option, as `data.root`.
    assert {name.split(".")[0] for name in named} <= set(inspect.signature(type(task)).parameters)


def test_baselines_have_the_metrics_of_trials_and_are_the_spec_of_their_name(task: ProxyTask) -> None:
    # One of somebody's own need not have any; a search that asks for them is then refused.
    if isinstance(task, GradientNorm):
        return
    assert isinstance(task, BaselineTask)
    assert len(set(task.baseline_names)) == len(task.baseline_names) > 0
    for name in task.baseline_names:
        metrics = task.evaluate_baseline(name, fidelity=FIDELITY, seed=0).metrics
        assert set(metrics) == set(task.metric_names)
        assert all(math.isfinite(value) for value in metrics.values())
        if name in published_names():
            assert metrics == task.evaluate(Candidate(published_spec(name)), fidelity=FIDELITY, seed=0).metrics


def test_a_training_that_can_end_early_ends_at_the_first_limit_that_it_is_above_and_is_whole_below(
    task: ProxyTask, tmp_path: Path
) -> None:
    spec = random_spec(0)
    whole = task.evaluate(Candidate(spec), fidelity=FIDELITY, seed=0)
    assert whole.stopped_at is None
    # A task that cannot is never sent limits: a search that would is refused. Only what trains nothing may be one.
    if not isinstance(task, StoppableTask):
        assert not whole.loss_curve
        return

    kept = Weights(keep_in=tmp_path / "kept.pt")

    def within(*limits: LossLimit) -> Evaluation:
        return task.evaluate_within(Candidate(spec), fidelity=FIDELITY, seed=0, loss_limits=limits, weights=kept)

    above = within(LossLimit(0.5, min(whole.loss_curve) / 2))
    assert above.stopped_at is not None
    assert 0 < above.stopped_at < 1
    assert len(above.loss_curve) == round(above.stopped_at * len(whole.loss_curve))
    assert above.loss_curve == whole.loss_curve[: len(above.loss_curve)]
    assert set(above.metrics) < set(task.metric_names)
    assert {name: above.metrics[name] for name in task.cost_names} == task.costs(Candidate(spec))
    assert not (tmp_path / "kept.pt").exists()

    below = within(LossLimit(0.5, max(whole.loss_curve)))
    assert (below.metrics, below.loss_curve, below.stopped_at) == (whole.metrics, whole.loss_curve, None)
