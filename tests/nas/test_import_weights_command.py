"""nas.import_weights: released weights as a detector that the other commands take, and mistakes in one line."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.classification.image_classifier import load_classifier
from proxy_tasks.coco.coco_categories import COCO_CATEGORIES
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.detector import load_detector
from proxy_tasks.detection.detector_file import read_detector, save_detector
from proxy_tasks.detection.released import load_released
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.onnx_file import run_onnx
from proxy_tasks.networks.released.tpu_names import retinanet_slots
from proxy_tasks.networks.released.zoo import RELEASED
from search_space import published_spec
from tests.conftest import Run
from tests.proxy_tasks.classification.test_image_classifier import is_released, tiny_checkpoint
from tests.proxy_tasks.networks.released.checkpoint_writer import write_checkpoint

SPEC = published_spec("spinenet-49")
__all__ = ["is_released"]  # a fixture of another module


def variables(num_classes: int = 91) -> dict[str, NDArray[np.generic]]:
    """Return random variables of SpineNet-49S, with which features stay near 1 through all layers."""
    with torch.device("meta"):
        network = build_detector(SPEC, RELEASED["spinenet-49s"].scale, num_classes)

    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.generic]] = {"global_step": np.array(7)}
    for name, slot in retinanet_slots(network, SPEC).items():
        if name.endswith("kernel"):
            values = rng.normal(0, np.prod(slot.shape[:3]) ** -0.5, slot.shape)
        elif name.endswith(("gamma", "variance")):
            values = rng.uniform(0.5, 1.5, slot.shape)
        else:
            values = rng.normal(0, 0.2, slot.shape)
        arrays[name] = values.astype(np.float32)
    return arrays


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a checkpoint of SpineNet-49S."""
    folder = tmp_path_factory.mktemp("released")
    write_checkpoint(folder / "model.ckpt-7", variables())
    return folder


@pytest.mark.long
def test_released_weights_become_a_detector_that_finds_coco_classes(released: Path, tmp_path: Path, call: Run) -> None:
    done = call("nas.import_weights", f"checkpoint={released}", "network=spinenet-49s", "out=made/49s.pt")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "made/49s.pt: spinenet-49s with 80 classes, for images of 640 px"
    assert second.endswith(" -m nas.evaluate weights=made/49s.pt data.root=FOLDER")

    info = read_detector(tmp_path / "made" / "49s.pt").info
    assert (info.name, info.weights, info.norm_epsilon, info.scale.activation) == ("spinenet-49s", "raw", 1e-4, "relu")
    assert info.counts_last_pixel
    assert info.candidates_per_class
    assert info.class_names[1] == "person"
    assert info.class_names[90] == "toothbrush"
    assert info.unused_classes == [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83]

    # The file holds what Python gets from the checkpoint itself, its epsilon too.
    of_file = load_detector(tmp_path / "made" / "49s.pt", device="cpu", precision="float32")
    at_once = load_released(released / "model.ckpt-7.index", "spinenet-49s", device="cpu", precision="float32")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(of_file(images), at_once(images), strict=True):
            assert torch.equal(ours, theirs)
            assert bool(ours.isfinite().all())

    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    found = call(
        "nas.detect", "weights=made/49s.pt", "images=red.png", "out=found", "min_score=0.01", "device=cpu", "-q"
    )
    assert (found.returncode, found.stderr) == (0, "")
    results = json.loads((tmp_path / "found" / "results.json").read_text())
    assert results
    assert 0 not in {result["category_id"] for result in results}


@pytest.mark.long
@pytest.mark.usefixtures("is_released")
def test_released_weights_of_a_classifier_become_a_file_that_is_exported(tmp_path: Path, call: Run) -> None:
    tiny_checkpoint(tmp_path)
    done = call("nas.import_weights", "checkpoint=model.ckpt", "network=classifier-tiny", "out=tiny.pt")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tiny.pt: classifier-tiny with 3 classes, for images of 64 px\n"

    exported = call("nas.export", "weights=tiny.pt", "format=[onnx,pt2]", "out=exported")
    assert exported.returncode == 0, exported.stderr
    content = (tmp_path / "exported" / "tiny.onnx").read_bytes()
    images = torch.randn(1, 3, 64, 64)
    (answer,) = run_onnx(content, [(images,)])
    with torch.no_grad():
        wanted = load_classifier(tmp_path / "tiny.pt", device="cpu", precision="float32")(images)
    assert torch.allclose(answer[0], wanted, atol=1e-4)

    for options, message in (
        (("format=python",), "format=python: tiny.pt is a classifier, which is written as onnx or pt2"),
        (("boxes=true",), "boxes=true is of detectors: tiny.pt is a classifier, which has logits alone"),
        (("suppression=true",), "suppression=true is of detectors: tiny.pt is a classifier, which has logits alone"),
        (("dynamic=[size]",), "dynamic=[size] is of detectors: tiny.pt is a classifier, which has logits alone"),
        (("use=averaged",), "tiny.pt holds no averaged weights, there are raw"),
    ):
        refused = call("nas.export", "weights=tiny.pt", "out=other", *options)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.endswith(f"{message}\n")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    detected = call("nas.detect", "weights=tiny.pt", "images=red.png", "out=found")
    assert (detected.returncode, detected.stderr.count("\n")) == (2, 1)
    assert "tiny.pt is a classifier, which finds no objects" in detected.stderr


@pytest.mark.long
def test_networks_named_best_have_silu_and_other_classes_are_numbered(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model.ckpt", variables(num_classes=4))
    detector = load_released(tmp_path, "spinenet-49s-best", norm_epsilon=1e-3, device="cpu")
    assert (detector.info.scale.activation, detector.info.norm_epsilon) == ("silu", 1e-3)
    assert detector.class_names[1:] == ("class 1", "class 2", "class 3")
    assert detector.info.unused_classes == [0]
    named = load_released(tmp_path, "spinenet-49s-best", classes=("cat", "dog", "cow"), device="cpu")
    assert named.class_names[1:] == ("cat", "dog", "cow")
    for classes, message in ((("cat", "cat", "dog"), "classes has 'cat' twice"), (("a", " ", "b"), "an empty name")):
        with pytest.raises(InputError, match=message):
            load_released(tmp_path, "spinenet-49s-best", classes=classes, device="cpu")

    norms = [module for module in detector.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "spinenet-49x"}, r"no released weights of 'spinenet-49x' are known; known are spinenet-49s, .*"),
        ({"network": "r0-sp53"}, r"no released weights of 'r0-sp53' are known; .*"),
        ({"network": "spinenet-49"}, r"\S*model.ckpt-7 is of another network than spinenet-49: .* is [\dx ]+, that .*"),
        ({"network": "spinenet-96"}, r"\S*model.ckpt-7 is of another network than spinenet-96: it lacks spinenet/.*"),
        ({"checkpoint": "absent"}, r"absent is no checkpoint: absent.index is not there; there are garbage, short"),
        ({"checkpoint": "garbage"}, r"\S*garbage.index is damaged, or no index of a TensorFlow checkpoint"),
        ({"checkpoint": "short"}, r"\S*short.data-00000-of-00001 is cut short: .* variable \S+; fetch the file again"),
        ({"out": "there.pt"}, r"there.pt exists: name another file, or replace what is there with overwrite=true"),
        ({"out": "."}, r"out=. is a folder, needed is a file, as spinenet-49s.pt in it"),
        ({"out": "model.ckpt-7.index"}, r"out=model.ckpt-7.index has the name of a checkpoint's file; .*"),
        ({"classes": "absent.txt"}, r"classes: cannot read absent.txt: No such file or directory"),
        ({"classes": "binary.txt"}, r"classes: binary.txt is no text, needed is one name a line"),
        ({"classes": "two.txt"}, r"classes has 2 names, and \S*model.ckpt-7 90 classes beside the background"),
        ({"classes": "[cat]"}, r"classes has 1 names, and \S*model.ckpt-7 90 classes beside the background"),
        ({"norm_epsilon": "0"}, r"norm_epsilon must be from 1e-12 to 1 .*, got 0.0"),
    ],
)  # fmt: skip
def test_mistakes_and_damaged_or_foreign_checkpoints_are_one_line_and_write_nothing(
    released: Path, tmp_path: Path, call: Run, options: Mapping[str, str], message: str
) -> None:
    (tmp_path / "there.pt").write_bytes(b"mine")
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "garbage.index").write_bytes(b"garbage" * 20)
    (tmp_path / "short.index").write_bytes((released / "model.ckpt-7.index").read_bytes())
    (tmp_path / "short.data-00000-of-00001").write_bytes(b"\0" * 1000)
    before = sorted(tmp_path.iterdir())

    given = {"checkpoint": str(released), "network": "spinenet-49s", "out": "made.pt"} | dict(options)
    done = call("nas.import_weights", *(f"{name}={value}" for name, value in given.items()))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.pt").read_bytes() == b"mine"


@pytest.mark.long
def test_an_imported_detector_is_scored_exported_and_fine_tuned(released: Path, tmp_path: Path, call: Run) -> None:
    assert not call("nas.import_weights", f"checkpoint={released}", "network=spinenet-49s", "out=49s.pt").returncode

    photos = photos_of_coco_classes(tmp_path / "photos")
    scored = call("nas.evaluate", "weights=49s.pt", f"data.root={photos}", "device=cpu", "format=json", "-q")
    assert (scored.returncode, scored.stderr) == (0, "")
    assert json.loads(scored.stdout)["num_images"] == 2

    # As one of tensorflow/models, which pads in another way: fine-tuning keeps that.
    imported = read_detector(tmp_path / "49s.pt")
    garden = dataclasses.replace(imported.info, reference="model_garden")
    save_detector(tmp_path / "garden.pt", garden, raw=imported.states["raw"])
    tuned = call("nas.train", "weights=garden.pt", "protocol=finetune", "protocol.epochs=1", "protocol.batch_size=2",
        "protocol.warmup_steps=1", f"data.root={photos}", "run=tuned", "device=cpu")  # fmt: skip
    assert (tuned.returncode, tuned.stderr) == (0, "")
    info = read_detector(tmp_path / "tuned" / "last.pt").info
    assert (info.reference, info.norm_epsilon) == ("model_garden", 1e-4)
    assert info.counts_last_pixel
    assert info.candidates_per_class
    assert info.scale == RELEASED["spinenet-49s"].scale

    refused = call("nas.export", "weights=49s.pt", "suppression=true", "out=exported")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "suppression=true: 49s.pt gives each class candidates of its own" in refused.stderr
    exported = call("nas.export", "weights=49s.pt", "format=[pt2,python]", "image_size_px=64", "out=exported")
    assert exported.returncode == 0, exported.stderr
    source = (tmp_path / "exported" / "49s.py").read_text()
    assert "set_norm_epsilon(network, 0.0001)" in source


def photos_of_coco_classes(root: Path) -> Path:
    """Draw four images to train on and two for validation whose classes have ids and names of COCO's."""
    folder = Shapes(root, num_train_images=4, num_val_images=2, image_size_px=64, num_held_out=1).folder(silent)
    for split in ("train", "val"):
        file, _ = folder.paths(split)
        content = json.loads(file.read_text())
        for category in content["categories"]:
            category["name"] = COCO_CATEGORIES[category["id"]]
        file.write_text(json.dumps(content))
    return root
