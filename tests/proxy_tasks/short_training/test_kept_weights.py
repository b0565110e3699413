"""Trained networks that are kept and resumed, and the errors of damaged ones and of a machine without its data."""

import dataclasses
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from proxy_tasks import BadDataError, BadSpecError, Evaluation, Fidelity, NonFiniteLossError, Weights, silent
from proxy_tasks.short_training.trained_proxy import TrainedProxy
from proxy_tasks.training.recipe import Recipe
from search_space import Candidate, published_spec
from tests.proxy_tasks.test_task_contract import tiny_classification, tiny_detection, tiny_segmentation

SPEC = published_spec("spinenet-49")


@pytest.fixture(
    scope="module",
    params=[
        tiny_detection,
        pytest.param(tiny_segmentation, marks=pytest.mark.long),
        pytest.param(tiny_classification, marks=pytest.mark.long),
    ],
    ids=["detection", "segmentation", "classification"],
)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrainedProxy:
    made: TrainedProxy = request.param(tmp_path_factory.mktemp("data"))
    made.prepare(silent)
    return made


@pytest.fixture(scope="module")
def from_scratch(task: TrainedProxy) -> Evaluation:
    """What an epoch from scratch gives."""
    return task.evaluate(Candidate(SPEC), fidelity=Fidelity(1), seed=0)


def test_a_network_resumes_from_where_it_was_left(task: TrainedProxy, tmp_path: Path) -> None:
    first, second = tmp_path / "weights" / "first.pt", tmp_path / "weights" / "second.pt"
    short = task.evaluate(Candidate(SPEC), fidelity=Fidelity(2), seed=0, weights=Weights(keep_in=first))
    assert short.metrics == task.evaluate(Candidate(SPEC), fidelity=Fidelity(2), seed=0).metrics
    assert torch.load(first, weights_only=True)["epochs"] == 2

    resumed = task.evaluate(
        Candidate(SPEC), fidelity=Fidelity(4), seed=0, weights=Weights(start_from=first, keep_in=second)
    )
    longer = task.evaluate(Candidate(SPEC), fidelity=Fidelity(4), seed=0)
    assert resumed.metrics["epochs_before"] == 2
    assert torch.load(second, weights_only=True)["epochs"] == 4
    # It begins with what the short one has learnt, where that is something after four steps, and sees other orders and
    # augmentations than the long one.
    assert resumed.loss_curve[0] < short.loss_curve[0] or task.head == "classifier"
    assert resumed.metrics["loss"] != longer.metrics["loss"]
    again = task.evaluate(Candidate(SPEC), fidelity=Fidelity(4), seed=0, weights=Weights(start_from=first))
    assert again.metrics == resumed.metrics
    assert sorted(path.name for path in first.parent.iterdir()) == ["first.pt", "second.pt"]


@pytest.mark.parametrize("weights", ["absent", "of another network", "damaged"])
def test_without_sound_weights_training_starts_from_scratch_and_says_so(
    task: TrainedProxy, from_scratch: Evaluation, tmp_path: Path, weights: str
) -> None:
    path = tmp_path / "first.pt"
    if weights == "of another network":
        task.evaluate(
            Candidate(published_spec("r0-sp53")), fidelity=Fidelity(0.5), seed=0, weights=Weights(keep_in=path)
        )
    elif weights == "damaged":
        path.touch()

    found = task.evaluate(Candidate(SPEC), fidelity=Fidelity(1), seed=0, weights=Weights(start_from=path))
    assert found.metrics == {**from_scratch.metrics, "epochs_before": 0.0}
    reason = {"absent": "is not there", "damaged": "is damaged"}.get(weights, r"holds another network: \S+ is .*")
    assert re.fullmatch(rf"trained from scratch, as {re.escape(str(path))} {reason}", "\n".join(found.remarks))


def test_what_cannot_be_kept_does_not_cost_the_trial(task: TrainedProxy, tmp_path: Path) -> None:
    (tmp_path / "weights").touch()  # a file where the folder should be
    kept = Weights(keep_in=tmp_path / "weights" / "first.pt")
    found = task.evaluate(Candidate(SPEC), fidelity=Fidelity(1), seed=0, weights=kept)
    assert found.metrics[task.metric_names[0]] >= 0
    assert re.fullmatch(r"a promotion will .*, as its weights are not kept: cannot write .*", found.remarks[0])


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_a_trial_never_makes_the_cache_that_its_machine_lacks(task: TrainedProxy, tmp_path: Path, state: str) -> None:
    elsewhere = dataclasses.replace(task, cache_dir=tmp_path / "cache")
    if state == "damaged":
        shutil.copytree(task.cache_dir, elsewhere.cache_dir)
        for images in elsewhere.cache_dir.glob("*/images"):
            os.truncate(images, images.stat().st_size - 1)
    message = rf"the image cache .*cache/train\w*-\d+px-\w+-\w+ is {state}: every machine needs it"
    with pytest.raises(BadDataError, match=message):
        elsewhere.evaluate(Candidate(SPEC), fidelity=Fidelity(1), seed=0)
    assert state == "damaged" or not elsewhere.cache_dir.exists()


def test_a_trial_never_chooses_held_out_images_of_its_own(task: TrainedProxy, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(task, cache_dir=tmp_path / "cache")
    shutil.copytree(task.cache_dir, elsewhere.cache_dir)
    (record,) = elsewhere.cache_dir.glob("held_out-*.json")
    record.unlink()
    with pytest.raises(BadDataError, match=r"held_out-\d+-seed0-\w+\.json is missing: copy it from the machine"):
        elsewhere.evaluate(Candidate(SPEC), fidelity=Fidelity(1), seed=0)
    assert not record.exists()


def test_every_rung_sees_other_augmentations(task: TrainedProxy, tmp_path: Path) -> None:
    # Three rungs of the same network: were the draws of two of them alike, the last would repeat the one before.
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    task.evaluate(Candidate(SPEC), fidelity=Fidelity(0.5), seed=0, weights=Weights(keep_in=first))
    state = torch.load(first, weights_only=True)
    torch.save({**state, "epochs": 1.0}, second)
    losses = {
        task.evaluate(Candidate(SPEC), fidelity=Fidelity(before + 1), seed=0, weights=Weights(start_from=path)).metrics[
            "loss"
        ]
        for path, before in ((first, 0.5), (second, 1.0))
    }
    assert len(losses) == 2


def test_an_architecture_that_cannot_be_built_is_no_error_of_the_program(task: TrainedProxy) -> None:
    # At a sixteenth of the width its first blocks, of 16 channels, are left one; those of level 0 none.
    with pytest.raises(BadSpecError, match=r"width_multiplier 0\.0625 leaves a block of this spec no channel"):
        task.evaluate(Candidate(published_spec("spinenet-mobile-49")), fidelity=Fidelity(1), seed=0)


def test_a_training_that_diverges_ends_with_its_step(task: TrainedProxy) -> None:
    wild = Recipe(batch_size=8, optimizer="sgd", learning_rate=1e20, schedule="step")
    with pytest.raises(NonFiniteLossError, match=r"the loss or its gradient was not finite at step \d+ of 1[01]"):
        dataclasses.replace(task, recipe=wild).evaluate(Candidate(SPEC), fidelity=Fidelity(5), seed=0)
