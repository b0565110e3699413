"""Detectors with masks by the commands: trained, killed and resumed, scored, used, and taken as a start."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.detect import RESULTS_FILE
from nas.training.journal import read_events
from proxy_tasks.coco.run_lengths import decode_mask, is_sound
from proxy_tasks.detection.detector_file import read_detector, save_detector
from proxy_tasks.segmentation.mask_detector import load_mask_detector
from proxy_tasks.segmentation.mask_scoring import MASK_METRIC_NAMES
from tests.conftest import TINY_DETECTOR, Run, start
from tests.nas.test_train_command import OFTEN, TINY, check_equal, measured, wait_for_checkpoint

# 6 steps of four images.
DATA = tuple(option for option in TINY_DETECTOR if option.startswith("data."))
MASKS = (
    "experiment=quickstart_masks",
    "run=masks",
    "device=cpu",
    *TINY_DETECTOR,
    "protocol.batch_size=4",
    "protocol.epochs=1",
    "validate_every_epochs=1",
)


@pytest.mark.long
def test_a_detector_with_masks_is_trained_scored_and_finds_masks(tmp_path: Path, call: Run) -> None:
    done = call("nas.train", *MASKS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "encoding masks" in done.stdout
    assert "mask AP is measured on" in done.stdout
    (figures,) = measured(tmp_path / "masks")
    assert {"ap", *MASK_METRIC_NAMES} <= set(figures)
    info = read_detector(tmp_path / "masks" / "last.pt").info
    assert (info.head, info.metrics["mask_ap"]) == ("mask_rcnn", figures["mask_ap"])

    # Scored by another command, with the same figures.
    scored = ("weights=masks", "data=shapes_masks", *DATA, "device=cpu", "precision=float32")
    shown = call("nas.evaluate", *scored, "per_class=true", "format=json")
    assert shown.returncode == 0
    found = json.loads(shown.stdout)
    assert found["metrics"] == {name: value for name, value in figures.items() if name != "loss"}
    assert found["classes"][0]["mask_ap"] == figures["mask_ap"]
    table = call("nas.evaluate", *scored, "per_class=true").stdout
    assert [word for word in ("boxes", "masks", "mask AP") if word not in table] == []

    # Pictures get masks, and the results have those that the detector finds.
    options = ("weights=masks", "images=data/shapes-64-masks/val2017", "device=cpu", "precision=float32")
    shown = call("nas.detect", *options, "out=found", "min_score=0.01", "batch_size=2")
    assert (shown.returncode, shown.stderr.count("error")) == (0, 0)
    results = json.loads((tmp_path / "found" / RESULTS_FILE).read_text())
    assert results
    for one in results:
        assert one["segmentation"]["size"] == [64, 64]
        assert is_sound(one["segmentation"]["counts"].encode(), (64, 64))

    picture = Image.open(tmp_path / "data/shapes-64-masks/val2017/000000000003.jpg")
    detector = load_mask_detector(tmp_path / "masks", device="cpu", precision="float32")
    (mine,) = detector.detect([picture], min_score=0.01)
    theirs = [one for one in results if one["image_id"] == 3]
    assert [one["score"] for one in theirs] == pytest.approx(mine.scores.tolist(), abs=1e-4)
    for number, one in enumerate(theirs[:5]):
        mask = decode_mask(one["segmentation"]["counts"].encode(), (64, 64))
        assert (mask != mine.masks.decoded(number)).mean() < 0.01


@pytest.mark.long
def test_detectors_with_masks_and_without_start_each_other_and_what_does_not_go_together_is_one_line(
    tmp_path: Path, call: Run
) -> None:
    done = call("nas.train", *MASKS)
    assert (done.returncode, done.stderr) == (0, "")
    tuned = call(
        "nas.train", *MASKS, "weights=masks", "spec=null", "run=tuned", "data.num_classes=3", "data.root=three"
    )
    assert (tuned.returncode, tuned.stderr) == (0, "")
    boxes = call("nas.train", *TINY, "weights=masks", "run=boxes", "protocol.epochs=0.2", "protocol.warmup_steps=1")
    assert (boxes.returncode, boxes.stderr) == (0, "")
    assert (
        "weights= are those of head=mask_rcnn: head=retinanet starts from their backbone, all else is" in boxes.stdout
    )
    back = call("nas.train", *MASKS, "weights=boxes", "run=back", "protocol.epochs=0.2")
    assert (back.returncode, back.stderr) == (0, "")
    assert "weights= are those of head=retinanet: head=mask_rcnn starts from their backbone" in back.stdout
    assert "starts from their backbone" not in tuned.stdout

    # The one mask of the validation images is a crowd's.
    shutil.copytree(tmp_path / "data" / "shapes-64-masks", tmp_path / "crowd")
    file = tmp_path / "crowd" / "annotations" / "instances_val2017.json"
    document = json.loads(file.read_bytes())
    document["annotations"][0]["iscrowd"] = 1
    for one in document["annotations"][1:]:
        one["segmentation"] = []
    file.write_text(json.dumps(document))
    crowd = [option for option in MASKS if not option.startswith("data.") or "held_out" in option]

    for module, options, message in (
        (
            "nas.export",
            ("weights=masks",),
            "masks/detector.pt holds a detector of boxes with masks, needed is one of boxes",
        ),
        (
            "nas.train",
            (*MASKS, "run=a", "data=shapes", "data.root=plain"),
            "head=mask_rcnn: data=shapes has no masks; data=shapes_masks is",
        ),
        ("nas.evaluate", ("-q", "weights=masks", "data=shapes", *DATA), "no object has a mask"),
        (
            "nas.train",
            (*MASKS, "run=b", "weights=masks", "spec=r0-sp53"),
            "weights=masks/detector.pt are of another netw",
        ),
        (
            "nas.train",
            (*crowd, "run=a", "data=coco", "data.root=crowd", "data.max_bad_share=1"),
            "images to score on has an object with a mask, so there is no mask AP",
        ),
        ("nas.train", (*MASKS, "head=retinanet"), "is of a training with head=mask_rcnn, and now head="),
    ):
        refused = call(module, *options)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert message in refused.stderr
    assert not list(tmp_path.glob("[ab]/*.pt"))


@pytest.mark.long
def test_what_is_tuned_from_a_detector_that_reads_regions_otherwise_reads_them_so(tmp_path: Path, call: Run) -> None:
    short = ("protocol.epochs=0.2", "protocol.warmup_steps=1")
    assert call("nas.train", *MASKS, *short).returncode == 0
    info, states = read_detector(tmp_path / "masks" / "detector.pt")
    # As one of tensorflow/tpu's says.
    released = dataclasses.replace(info, counts_last_pixel=True, region_samples=1)
    save_detector(tmp_path / "released.pt", released, raw=states["raw"], averaged=states.get("averaged"))

    tuned = call("nas.train", *MASKS, *short, "weights=released.pt", "spec=null", "run=tuned")
    assert (tuned.returncode, tuned.stderr) == (0, "")
    info = read_detector(tmp_path / "tuned" / "detector.pt").info
    assert (info.counts_last_pixel, info.region_samples) == (True, 1)


@pytest.mark.long
def test_a_training_with_masks_that_is_killed_at_random_steps_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, command: Run
) -> None:
    arguments = [*MASKS, "protocol.epochs=3"]
    done = command("nas.train", *arguments, "run=whole", timeout_s=300)
    assert (done.returncode, done.stderr) == (0, "")

    rng = np.random.default_rng(0)
    for step in np.sort(rng.choice(np.arange(1, 16), 3, replace=False)):
        running = start("nas.train", [*arguments, "run=killed", OFTEN], tmp_path)
        wait_for_checkpoint(tmp_path / "killed", int(step), running.poll)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)

    done = command("nas.train", *arguments, "run=killed", timeout_s=300)
    assert (done.returncode, done.stderr) == (0, "")
    check_equal(tmp_path / "whole", tmp_path / "killed")
    assert measured(tmp_path / "whole") == measured(tmp_path / "killed")
    starts = [event["step"] for event in read_events(tmp_path / "killed") if event["event"] == "started"]
    assert len(set(starts)) == 4
