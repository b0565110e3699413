"""nas.evaluate: the figures of a trained detector, and data that it does not go with."""

import dataclasses
import json
from pathlib import Path

import pytest

from proxy_tasks.base import Fidelity, Weights, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.detector import load_detector
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.networks.torch_file import read_torch_file
from proxy_tasks.training.recipe import Recipe
from search_space import Candidate, published_spec
from tests.conftest import Run
from tests.proxy_tasks.detection.test_detector import SCALE

DATA = (
    "data=shapes", "data.root=shapes", "data.num_train_images=24", "data.num_val_images=6", "data.image_size_px=64",
    "data.num_held_out=8", "data.num_classes=3",
)  # fmt: skip
CATEGORIES = (Category(1, "circle"), Category(2, "square"), Category(3, "triangle"))


def trained(folder: Path) -> dict[str, float]:
    """Train a tiny network for a few steps, save it as a detector, and return what the training scored."""
    shapes = Shapes(folder / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8)
    task = DetectionProxy(
        shapes, SCALE, Recipe(batch_size=4, optimizer="adamw", learning_rate=4e-3), score_on="val",
        cache_dir=folder / "cache", device="cpu", precision="float32", per_class_ap=True,
    )  # fmt: skip
    task.prepare(silent)
    spec = published_spec("spinenet-49")
    (folder / "weights").mkdir()
    kept = Weights(keep_in=folder / "weights" / "kept.pt")
    metrics = task.evaluate(Candidate(spec), fidelity=Fidelity(2), seed=0, weights=kept).metrics

    info = DetectorInfo("tiny", spec, SCALE, CATEGORIES, "raw", metrics=metrics)
    save_detector(folder / "run" / "detector.pt", info, raw=read_torch_file(folder / "weights" / "kept.pt")["network"])
    return dict(metrics)


def test_a_detector_scores_what_its_training_scored_and_bad_data_is_one_line(tmp_path: Path, call: Run) -> None:
    metrics = trained(tmp_path)
    options = ("weights=run", *DATA, "cache_dir=cache", "device=cpu", "precision=float32")
    asked = call("nas.evaluate", *options, "format=json", "per_class=true")
    assert (asked.returncode, asked.stderr.splitlines()[-1]) == (0, "looking at images: 6")
    found = json.loads(asked.stdout)
    assert (found["name"], found["used"], found["num_images"]) == ("tiny", "raw", 6)
    assert found["metrics"] == {name: pytest.approx(metrics[name], abs=1e-9) for name in found["metrics"]}
    assert len(found["metrics"]) == 12
    assert {one["name"]: one["ap"] for one in found["classes"]} == {
        name: pytest.approx(metrics[f"ap/{name}"]) for name in ("circle", "square", "triangle")
    }

    table = call("nas.evaluate", *options, "per_class=true", "-q")
    assert (table.returncode, table.stderr) == (0, "")
    assert table.stdout.startswith("tiny, raw weights of run, on 6 images of 64 px\n")
    assert f"{metrics['ap50']:.4f}" in table.stdout
    assert all(f"{one['name']} " in table.stdout for one in found["classes"])

    # A class less, and one of another name.
    detector = load_detector(tmp_path / "run", device="cpu")
    state = detector.network.state_dict()
    renamed = (*CATEGORIES[:2], Category(3, "star"))
    save_detector(tmp_path / "star.pt", dataclasses.replace(detector.info, categories=renamed), raw=state)
    refused = call("nas.evaluate", "weights=star.pt", *options[1:])
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: tiny finds 3 classes (circle, square, star), {tmp_path}/shapes/annotations/instances_val2017.json has "
        "3 classes (circle, square, triangle): category 3, 'triangle', is 'star' to it\n"
    )


def test_weights_and_data_that_are_not_there_are_one_line(tmp_path: Path, call: Run) -> None:
    (tmp_path / "run").mkdir()
    for arguments, message in (
        (("weights=run", "data.root=coco"), f"{tmp_path}/run/detector.pt is not there"),
        (("weights=run", "data.root=coco", "device=cuda:99"), "device"),
        (("data.root=coco",), "weights: needs a value; --help explains it"),
    ):
        refused = call("nas.evaluate", *arguments)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"error: {message}")
        assert refused.stderr.count("\n") == 1
