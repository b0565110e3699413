"""A training that ends early, where its loss is above a limit: with real networks on real images."""

from pathlib import Path

import numpy as np
import pytest

from proxy_tasks import Evaluation, Fidelity, LossLimit, NonFiniteLossError, Weights, silent
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.training.loss_curve import limits_by_step, loss_curve, share_done
from search_space import Candidate, published_spec
from tests.proxy_tasks.test_task_contract import tiny_detection

SPEC = published_spec("spinenet-49")
FIDELITY = Fidelity(epochs=2, max_train_images=16)
"""Four steps of eight images, so that each is a part of the loss curve."""


@pytest.fixture
def task(tmp_path: Path) -> DetectionProxy:
    made = tiny_detection(tmp_path)
    made.prepare(silent)
    return made


def evaluate(task: DetectionProxy, *limits: LossLimit, weights: Weights = Weights()) -> Evaluation:  # noqa: B008  # frozen
    return task.evaluate_within(Candidate(SPEC), fidelity=FIDELITY, seed=0, loss_limits=limits, weights=weights)


def test_a_training_above_a_limit_ends_there_as_the_whole_one_was_there_and_one_below_is_the_whole_one(
    task: DetectionProxy, tmp_path: Path
) -> None:
    whole = task.evaluate(Candidate(SPEC), fidelity=FIDELITY, seed=0)
    assert len(whole.loss_curve) == 4
    second = whole.loss_curve[1]

    # Exactly at the limit it goes on; the first limit that is broken ends it.
    below = evaluate(task, LossLimit(0.5, second), LossLimit(0.25, 1e9))
    assert (below.metrics, below.loss_curve, below.stopped_at) == (whole.metrics, whole.loss_curve, None)
    kept = tmp_path / "kept.pt"
    above = evaluate(task, LossLimit(0.75, 0), LossLimit(0.5, second - 1e-4), weights=Weights(keep_in=kept))
    assert above.stopped_at == 0.5
    assert above.loss_curve == whole.loss_curve[:2]
    assert not kept.exists()
    assert above.metrics == {**task.costs(Candidate(SPEC)), "loss": pytest.approx(second, rel=1e-4)}
    assert set(above.seconds) == {"train"}


def test_a_training_that_diverges_has_failed_and_was_not_stopped(task: DetectionProxy) -> None:
    from dataclasses import replace

    wild = replace(task, recipe=replace(task.recipe, learning_rate=1e30, optimizer="sgd"))
    with pytest.raises(NonFiniteLossError):
        evaluate(wild, LossLimit(0.75, 1.0))


def test_the_parts_that_are_done_are_those_of_the_whole_curve() -> None:
    losses = np.random.default_rng(0).random(47)
    whole = loss_curve(losses, 47)
    # By NumPy's own division of the steps.
    assert whole == tuple(float(f"{part.mean():.5g}") for part in np.array_split(losses, 20))
    # Seven parts of three steps, then thirteen of two.
    for num_steps, num_parts in ((2, 0), (3, 1), (5, 1), (21, 7), (22, 7), (23, 8), (46, 19)):
        assert loss_curve(losses[:num_steps], 47) == whole[:num_parts]
    assert share_done(whole[:8], 47) == 0.4
    assert loss_curve(np.array([1.0, 3.0, 5.0, 123456.0]), 4) == (1.0, 3.0, 5.0, 123460.0)


def test_a_limit_is_looked_at_once_its_share_of_the_training_is_whole() -> None:
    assert limits_by_step([LossLimit(0.25, 2.0), LossLimit(0.26, 1.0)], 200) == {50: 2.0, 60: 1.0}
    # Two in one part: the lower one holds. At the end there is nothing to save.
    assert limits_by_step([LossLimit(0.01, 1.0), LossLimit(0.05, 2.0), LossLimit(0.99, 0.0)], 200) == {10: 1.0}
    assert limits_by_step([LossLimit(0.5, 1.0)], 1) == {}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_of_a_training_is_above_0_and_below_1(share: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        LossLimit(share, 1.0)
