"""The command nas.train for classifiers: trained, scored, resumed, started from a detector, and what it refuses."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.training.journal import read_events
from proxy_tasks.classification.class_shapes import CLASS_SHAPES
from proxy_tasks.classification.classifier_file import ClassifierInfo, read_classifier, save_classifier
from proxy_tasks.classification.image_classifier import build_classifier
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.detection.detector_file import read_detector
from proxy_tasks.full_training.checkpoint import FOLDER
from search_space import ModelScale
from tests.conftest import Run, start
from tests.nas.test_train_command import TINY as TINY_DETECTOR
from tests.nas.test_train_command import check_equal_states, wait_for_checkpoint

NETWORK = ("scale.width_multiplier=0.0625", "scale.endpoint_width=8", "scale.num_head_convs=1", "scale.head_width=8")
DATA = ("data=class_shapes", "data.num_train_images=20", "data.num_val_images=10", "data.num_held_out=5")
# 10 steps of four images.
TINY = (
    "experiment=quickstart_classes", "run=classes", "device=cpu", *NETWORK, *DATA[1:], "protocol.batch_size=4",
    "protocol.epochs=2", "protocol.ema_decay=0.9", "validate_every_epochs=1",
)  # fmt: skip


def states(folder: Path) -> dict[str, torch.Tensor]:
    found = read_classifier(folder / "last.pt").states
    return {f"{which} {name}": tensor for which, state in found.items() for name, tensor in state.items()}


@pytest.mark.long
def test_a_classifier_is_trained_scored_and_not_trained_twice(tmp_path: Path, call: Run) -> None:
    done = call("nas.train", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "training on 20 images, 10 steps" in done.stdout
    assert "top-1 is measured on 10 images: it may be 0.31 off (95 %), and smaller" in done.stdout
    assert "Classifier: classes/classifier.pt" in done.stdout
    info = read_classifier(tmp_path / "classes" / "last.pt").info
    assert (info.class_names, info.weights, info.scale.image_size_px) == (CLASS_SHAPES, "averaged", 64)
    measured = [event for event in read_events(tmp_path / "classes") if event["event"] == "evaluated"]
    assert [(event["metric"], event["step"]) for event in measured] == [("top1", 5), ("top1", 10)]
    assert info.metrics == measured[-1]["metrics"]
    assert "all 10 steps are done" in call("nas.train", *TINY).stdout

    # The figures of the file, from the command that checks it.
    options = ("weights=classes/last.pt", *DATA, "device=cpu", "precision=float32")
    asked = call("nas.evaluate", *options, "format=json", "per_class=true")
    assert asked.returncode == 0
    found = json.loads(asked.stdout)
    assert found["metrics"] == {name: pytest.approx(info.metrics[name]) for name in ("top1", "top5")}
    assert [one["num_images"] for one in found["classes"]] == [2] * 5
    table = call("nas.evaluate", *options, "-q", "per_class=true").stdout
    assert table.startswith("spinenet-49, averaged weights of classes/last.pt, on 10 images of 64 px\ntop-1 ")

    refused = call("nas.detect", "weights=classes", "images=data/class-shapes-64/val/star", "out=found")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "classes/classifier.pt is a classifier, which finds no objects: nas.evaluate scores it" in refused.stderr

    # A mistake in one line.
    for arguments, message in (
        (("run=classes", "protocol.classification.label_smoothing=0.1"), "protocol.classification.label_smoothing=0.0"),
        (
            ("run=a", "head=retinanet"),
            "head=retinanet: images by class have no boxes; head=classifier protocol=classes fits",
        ),
        (
            ("run=a", "protocol.classification=null"),
            "head=classifier: this protocol trains detectors; protocol=classes",
        ),
        (("run=a", "protocol.classification.crop_area=[0,1]"), "crop_area must be two rising shares"),
    ):
        refused = call("nas.train", *TINY, *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert message in refused.stderr


def test_a_background_is_never_found_by_the_command_that_scores(tmp_path: Path, call: Run) -> None:
    scale = ModelScale(width_multiplier=0.0625, endpoint_width=8, image_size_px=64)
    info = ClassifierInfo("mine", "r50-fpn", scale, (NO_CATEGORY, *CLASS_SHAPES), "raw")
    network = build_classifier(info)
    with torch.no_grad():
        network.predict.weight.zero_()
        network.predict.bias.copy_(torch.tensor([9.0, 1, 2, 3, 4, 5]))
    save_classifier(tmp_path / "mine.pt", info, raw=network.state_dict())

    done = call("nas.evaluate", "weights=mine.pt", *DATA, "device=cpu", "format=json", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    # Every image is held for the last of five classes; were the background a class, four would be among the best five.
    assert json.loads(done.stdout)["metrics"] == {"top1": 0.2, "top5": 1.0}


@pytest.mark.long
def test_a_classifier_gives_its_backbone_to_a_detector_and_takes_one(tmp_path: Path, call: Run) -> None:
    assert call("nas.train", *TINY).returncode == 0
    exported = call("nas.export", "weights=classes", "format=pt2", "use=raw")
    assert (exported.returncode, exported.stdout) == (0, "classes/export/classifier.pt2\n")

    # At a rate of next to nothing, so that the weights are still those that it started from.
    rates = ("protocol.learning_rate=1e-12", "protocol.warmup_rate=1e-13")
    still = ("protocol.epochs=1", "protocol.ema_decay=null", *rates)
    network = ("scale.activation=relu", *NETWORK, "spec=null")
    done = call("nas.train", *TINY_DETECTOR, *network, *still, "weights=classes", "run=boxes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights= are those of head=classifier: head=retinanet starts from their backbone" in done.stdout
    classifier = read_classifier(tmp_path / "classes" / "classifier.pt").states["averaged"]
    detector = read_detector(tmp_path / "boxes" / "last.pt").states["raw"]
    names = [name for name, _ in kernels(classifier) if name.startswith("backbone.")]
    assert len(names) > 50
    assert all(torch.allclose(detector[name], classifier[name], atol=1e-6) for name in names)

    done = call("nas.train", *TINY, *network, *still, "weights=boxes", "run=back", "seed=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights= are those of head=retinanet: head=classifier starts from their backbone" in done.stdout
    back = read_classifier(tmp_path / "back" / "last.pt")
    assert all(torch.allclose(back.states["raw"][name], detector[name], atol=1e-6) for name in names)
    assert not torch.allclose(back.states["raw"]["predict.weight"], classifier["predict.weight"], atol=1e-3)
    assert back.info.name == "spinenet-49"
    refused = call("nas.train", *TINY, "run=a", "weights=classes", "spec=r0-sp53")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "weights=classes/classifier.pt are of another network" in refused.stderr


def kernels(state: dict[str, torch.Tensor] | object) -> list[tuple[str, torch.Tensor]]:
    assert isinstance(state, dict)
    return [(name, tensor) for name, tensor in state.items() if tensor.ndim == 4]


@pytest.mark.long
def test_a_classifier_that_is_killed_at_random_steps_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, command: Run
) -> None:
    arguments = [*TINY, "protocol.epochs=8", "protocol.classification.rand_augment=9"]
    assert command("nas.train", *arguments, "run=whole", timeout_s=600).returncode == 0
    for step in np.sort(np.random.default_rng(0).choice(np.arange(1, 36), 4, replace=False)):
        running = start("nas.train", [*arguments, "run=killed", "checkpoint_every_min=0"], tmp_path)
        wait_for_checkpoint(tmp_path / "killed", int(step), running.poll)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=300)
    assert (tmp_path / "killed" / FOLDER).is_dir()
    assert command("nas.train", *arguments, "run=killed", timeout_s=600).returncode == 0
    check_equal_states(states(tmp_path / "whole"), states(tmp_path / "killed"))


@pytest.mark.long
def test_classes_are_trained_from_a_folder_of_images_and_bad_ones_are_one_line(tmp_path: Path, call: Run) -> None:
    from PIL import Image

    for split, number in (("train", 4), ("val", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "mine" / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = np.random.default_rng(i).integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "mine" / split / name / f"{i}.png")
    folder = ("data=image_folder", "data.root=mine")
    plain = [option for option in TINY if not option.startswith("data")]
    done = call("nas.train", *plain, *folder, "protocol.epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training on 8 images, 2 steps" in done.stdout

    # Held out of the training images, where there are no others.
    held_out = ("score_on=held_out", "data.num_held_out=2", "data.val=none")
    done = call("nas.train", *plain, *folder, *held_out, "protocol.epochs=1", "run=held")
    assert (done.returncode, done.stderr) == (0, "")
    assert "training on 6 images, 2 steps" in done.stdout

    (tmp_path / "mine" / "train" / "cat").mkdir()
    for arguments, message in (
        (("run=classes2",), "train/cat has no images (1 of 3 classes have none): fill it, or remove it"),
        (("run=a", "data.root=null"), "no data: pass data.root=FOLDER, which has train/ and val/ with a folder for"),
    ):
        refused = call("nas.train", *plain, *folder, *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert message in refused.stderr
