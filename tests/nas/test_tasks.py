"""Searches by mask AP and by top-1 through the commands: trained, promoted, resumed, ranked, and what is refused."""

from pathlib import Path

import pytest

from nas.record.journal import read_record
from tests.conftest import TINY_DETECTOR, TINY_SEARCH, Run

NETWORK = tuple(option for option in TINY_DETECTOR if option.startswith("scale."))
DATA = {
    "segmentation": tuple(option for option in TINY_DETECTOR if option.startswith("data.")),
    "classification": ("data.num_train_images=24", "data.num_val_images=6", "data.num_held_out=8"),
}
SCORES = {"segmentation": "mask_ap", "classification": "top1"}
HEADS = {"segmentation": "mask AP", "classification": "top-1"}
COMMON = tuple(option for option in TINY_SEARCH if option.startswith(("recipe.", "controller.", "baselines=")))


def search_of(task: str) -> tuple[str, ...]:
    return (f"experiment=quickstart_{task}", "run=run", *NETWORK, *DATA[task], *COMMON, "fidelity.epochs=0.5")


@pytest.mark.parametrize("task", [pytest.param("segmentation", marks=pytest.mark.long), "classification"])
def test_a_search_maximises_what_its_task_measures_and_resumes(tmp_path: Path, call: Run, task: str) -> None:
    done = call("nas.search", *search_of(task), "executor=local", "num_trials=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert HEADS[task] in done.stdout
    again = call("nas.search", "run=run", "num_trials=2")
    assert (again.returncode, again.stderr) == (0, "")

    record = read_record(tmp_path / "run")
    assert [trial.status for trial in record.trials.values()] == ["completed"] * 2
    assert all(trial.reward == trial.metrics[SCORES[task]] for trial in record.trials.values())
    assert call("nas.leaderboard", "run=run", f"sort=-{SCORES[task]}", f"where={SCORES[task]}>=0").returncode == 0


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("task", list(DATA))
def test_a_whole_search_through_ray_promotes_from_kept_weights_and_ends_in_a_full_training(
    tmp_path: Path, command: Run, task: str
) -> None:
    promotion = ("promotion.num_rungs=2", "promotion.reduction=2", "num_trials=4", "baselines=true")
    done = command("nas.search", *search_of(task), *promotion, timeout_s=600)
    assert (done.returncode, done.stderr) == (0, "")
    trials = read_record(tmp_path / "run").trials.values()
    assert [trial.metrics["epochs_before"] for trial in trials if trial.rung == 1] == [0.5]
    assert done.stdout.count("baseline ") >= 2

    # The command that it ends with is one for its head.
    line = next(line for line in done.stdout.splitlines() if line.startswith("Train:"))
    module, *arguments = line.partition(" -m ")[2].split()
    quick = ("protocol.epochs=1", "protocol.batch_size=4", "device=cpu")
    trained = command(module, *arguments, *quick, timeout_s=600)
    assert (trained.returncode, trained.stderr) == (0, "")
    page = command("nas.report", "run=run")
    assert (page.returncode, page.stderr) == (0, "")


@pytest.mark.parametrize(
    ("task", "data"), [("detection", "shapes"), ("segmentation", "shapes_masks"), ("classification", "class_shapes")]
)
def test_a_share_of_any_data_may_be_held_out(call: Run, task: str, data: str) -> None:
    drawn = (f"data={data}", "data.root=drawn", "data.num_train_images=24", "data.num_val_images=6")
    options = [drawn, ("data=image_folder", "data.root=drawn")] if task == "classification" else [drawn]
    for chosen in options:
        done = call("nas.prepare", f"task={task}", "scale=tiny", *chosen, "data.num_held_out=0.25")
        assert (done.returncode, done.stderr) == (0, "")
        assert "18 images to train on, 6 held out for the reward" in done.stdout
        # What AP on so many objects can tell.
        assert ("objects may be" in done.stdout) == (task != "classification")


def test_an_onnx_file_of_mask_rcnn_is_refused_before_data_is_made(tmp_path: Path, call: Run) -> None:
    done = call("nas.prepare", "task=segmentation", "data=shapes_masks", "task.latency.runtime=onnxruntime")
    assert done.stderr == (
        "error: task.latency: head=mask_rcnn cannot be written as an ONNX file: time it with runtime=torch\n"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("task=segmentation", "reward=weighed", "reward.weights.mask_ap=1", "reward.weights.top1=1"),
            "reward: no metric top1; the task has mask_ap, ",
        ),
        (("task=classification", "reward=ap"), "reward: no metric ap; the task has top1, top5, loss, params, macs"),
        (("task=segmentation", "reward=weighed"), "reward: weights needs a metric with its weight, as weights.ap=0.5"),
        (("task=segmentation", "task.longest_side_px=5"), "task: longest_side_px must be from 32 to 65500"),
        (("task=segmentation", "task.classes=coco"), "task.classes: Input should be 'dense' or 'ids', got 'coco'"),
        (("task=classification", "task.classification.crop_area=[0,1]"), "crop_area must be two rising shares"),
        (("task=segmentation", "data=shapes", *DATA["segmentation"]), "no object has a mask"),
        (("task=classification", "data=shapes", *DATA["segmentation"]), "a classifier learns from images of one class"),
        (
            ("task=segmentation", "task.latency.runtime=onnxruntime", "data=shapes_masks", *DATA["segmentation"]),
            "task.latency: head=mask_rcnn cannot be written as an ONNX file: time it with runtime=torch",
        ),
    ],
)
def test_what_a_task_cannot_do_is_one_line_before_a_run_is_made(
    tmp_path: Path, call: Run, options: tuple[str, ...], message: str
) -> None:
    done = call("nas.search", "run=run", "executor=local", "scale=tiny", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_class_folder_that_vanishes_under_a_search_is_bad_data(tmp_path: Path, call: Run) -> None:
    search = ("task=classification", "data=class_shapes", "scale=tiny", "executor=local", "run=run", *NETWORK, *COMMON)
    prepared = call("nas.prepare", *search, *DATA["classification"])
    assert (prepared.returncode, prepared.stderr) == (0, "")
    for image in (tmp_path / "data" / "class-shapes-64" / "train" / "star").iterdir():
        image.unlink()
    done = call("nas.search", *search, *DATA["classification"])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "train/star has no images (1 of 5 classes have none): fill it, or remove it" in done.stderr
