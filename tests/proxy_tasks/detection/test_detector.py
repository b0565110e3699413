"""Trained detectors in use: pictures of any kind and size, and what a search would find in them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foundation import InputError
from proxy_tasks.base import silent
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.batches import normalise
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.anchors import decode_boxes
from proxy_tasks.detection.detector import Detector, Picture, detector_path, load_detector
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.detection.detector_scoring import score_detector
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import ScoredBoxes
from proxy_tasks.exporting.boxes import DetectorWithBoxes
from proxy_tasks.exporting.subject import detector_subject
from proxy_tasks.networks.named_networks import build_detector
from search_space import ModelScale, published_spec
from tests.proxy_tasks.coco.test_cache import write_coco

SCALE = ModelScale(
    width_multiplier=0.0625, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=64, stem_width=16
)
INFO = DetectorInfo(
    name="tiny",
    architecture=published_spec("spinenet-49"),
    scale=SCALE,
    categories=(Category(1, "one"), Category(2, "two")),
    weights="raw",
)


def untrained(seed: int, info: DetectorInfo = INFO) -> Detector:
    """Return a detector whose scores differ, as they do not in a network with fresh weights."""
    torch.manual_seed(seed)
    network = build_detector(info.architecture, info.scale, len(info.categories))
    predict = network.class_tower.predict
    assert isinstance(predict, torch.nn.Conv2d)
    torch.nn.init.normal_(predict.weight, std=30)
    torch.nn.init.constant_(predict.bias, -2.0)  # type: ignore[arg-type]  # this convolution has a bias
    return Detector(network, info).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "detector.pt"
    states = [untrained(seed).network.state_dict() for seed in (0, 1)]
    save_detector(path, INFO, raw=states[0], averaged=states[1])
    return path


def a_picture(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def test_a_detector_finds_what_a_search_finds_in_the_cached_images(tmp_path: Path, saved: Path) -> None:
    # Sizes that are scaled down and up, and whose short sides are rounded.
    key = write_coco(tmp_path, [(403, 61), (61, 403), (40, 30)])
    for i, (width, height) in enumerate([(403, 61), (61, 403), (40, 30)]):
        a_picture(height, width, i).save(key.image_dir / f"{i}.png", "JPEG")
    split = cached_split(key, silent)
    detector = load_detector(saved.parent, device="cpu", precision="float32")
    expected = detect_all(detector.network, detector.anchors_xyxy, split, np.arange(3), bf16=False)
    assert len(expected.rows) > 10

    # A training in full scores on images of their own size: the same files, fitted in the same way.
    native = cached_split(dataclasses.replace(key, image_format=Native(403)), silent)
    the_same = detect_all(detector.network, detector.anchors_xyxy, native, np.arange(3), bf16=False)
    for field in dataclasses.fields(ScoredBoxes):
        assert np.array_equal(getattr(the_same, field.name), getattr(expected, field.name))

    pictures = [opened(key.image_dir / name) for name in split.annotations.file_names]
    found = detector.detect(pictures, batch_size=2)
    for row, one in enumerate(found):
        mine = expected.rows == row
        assert one.boxes_xyxy.numpy() == pytest.approx(expected.boxes_xyxy[mine], abs=1e-3)
        assert one.labels.tolist() == expected.labels[mine].tolist()
        # Batches of other sizes are added up in another order.
        assert one.scores.numpy() == pytest.approx(expected.scores[mine], abs=1e-5)


def test_one_picture_of_any_kind_gives_the_same(saved: Path) -> None:
    detector = load_detector(saved, device="cpu", precision="float32")
    picture = a_picture(50, 90)
    array = np.asarray(picture)
    kinds: list[Picture] = [picture, array, torch.from_numpy(array.copy()).movedim(-1, 0), picture.convert("RGBA")]

    alone = [detector.detect(kind) for kind in kinds]
    assert len(alone[0].scores)
    assert all(torch.equal(one.boxes_xyxy, alone[0].boxes_xyxy) for one in alone)
    assert all(torch.equal(one.scores, alone[0].scores) for one in alone)
    assert alone[0].scores.tolist() == sorted(alone[0].scores.tolist(), reverse=True)
    assert (alone[0].boxes_xyxy <= torch.tensor([90, 50, 90, 50]) + 1e-3).all()
    assert detector.detect([]) == []
    assert (detector.detect(picture, min_score=0.5).scores > 0.5).all()


def test_raw_and_averaged_weights_are_told_apart_and_those_that_were_scored_are_used(saved: Path) -> None:
    averaged, raw, usual = (load_detector(saved, device="cpu", weights=which) for which in ("averaged", "raw", None))
    states = [detector.network.state_dict()["class_tower.predict.weight"] for detector in (averaged, raw, usual)]
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])


def test_classes_without_a_category_are_never_found() -> None:
    info = dataclasses.replace(INFO, categories=(Category(0, NO_CATEGORY), Category(1, "one")))
    found = untrained(0, info).detect(a_picture(64, 64))
    assert set(found.labels.tolist()) == {1}


def test_a_detector_that_counts_last_pixels_decodes_so_in_pictures_in_scores_and_in_exports(tmp_path: Path) -> None:
    plain = untrained(0)
    # Boxes smaller than their anchors by a third or so.
    plain.network.state_dict()["box_tower.predict.bias"].copy_(torch.tensor([0.0, 0.0, -0.5, -0.5] * 9))
    info = dataclasses.replace(INFO, counts_last_pixel=True)
    save_detector(tmp_path / "counted.pt", info, raw=plain.network.state_dict())
    picture = a_picture(64, 64)
    pixels = torch.from_numpy(np.asarray(picture).copy())[None]  # (1, S, S, 3)
    images = normalise(pixels, torch.tensor([[64.0, 64.0]]), INFO.normalisation)
    with torch.no_grad():
        codes = plain(images).box_codes[0]
    expected = decode_boxes(codes, plain.anchors_xyxy, counts_last_pixel=True).clamp(0, 64)  # (A, 4)
    others = decode_boxes(codes, plain.anchors_xyxy).clamp(0, 64)
    assert not torch.allclose(expected, others, atol=1e-2)

    found = load_detector(tmp_path / "counted.pt", device="cpu", precision="float32").detect(picture)
    assert len(found.scores) > 10
    distances = (found.boxes_xyxy[:, None] - expected).abs().amax(dim=-1).amin(dim=1)  # (N,) to the nearest
    assert float(distances.max()) < 1e-3

    # Data in which just what it finds is to be found.
    folder = Shapes(tmp_path / "data", num_train_images=1, num_val_images=1, image_size_px=64, num_held_out=1).folder(
        silent
    )
    counted = load_detector(tmp_path / "counted.pt", device="cpu", precision="float32")
    annotate_with_found(folder, counted)
    cached = {"cache_dir": tmp_path / "cache", "cache_format": Native(64), "report": silent}
    scores = [score_detector(one, folder, **cached).metrics["ap"] for one in (counted, plain)]  # type: ignore[arg-type]
    assert scores[0] == pytest.approx(1.0)
    assert scores[1] < 0.98

    exported = detector_subject(tmp_path / "counted.pt", None, None, "boxes").network
    assert isinstance(exported, DetectorWithBoxes)
    with torch.no_grad():
        boxes, _ = exported.all_boxes(exported.raw(images))
    assert torch.allclose(boxes[0], expected, atol=1e-3)


def annotate_with_found(folder: CocoFolder, detector: Detector) -> None:
    """Have the validation set of a folder hold what a detector finds in its images."""
    file, images = folder.paths("val")
    content = json.loads(file.read_text())
    content["categories"] = [{"id": one.id, "name": one.name} for one in detector.info.categories]
    content["annotations"] = []
    for image in content["images"]:
        found = detector.detect(opened(images / image["file_name"]))
        for (left, top, right, bottom), label in zip(found.boxes_xyxy.tolist(), found.labels.tolist(), strict=True):
            bbox = [left, top, right - left, bottom - top]
            content["annotations"].append(
                {"id": len(content["annotations"]) + 1, "image_id": image["id"], "category_id": label + 1,
                 "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0}
            )  # fmt: skip
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"the image must be of Pillow's, or uint8 of \(H, W, 3\) as an array, got uint8"),
        (np.zeros((4, 4, 3)), r"uint8 of \(H, W, 3\) as an array, got float64 of \(4, 4, 3\)"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), r"uint8 of \(3, H, W\) as a tensor, got torch.uint8 of \(4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"the image has no pixels, its shape is \(0, 4, 3\)"),
        (Image.fromarray(np.full((4, 4), 7.0, np.float32)), "the image: the image has .*values"),
        ([a_picture(8, 8), "photo.jpg"], "image 1 must be of Pillow's.* got str"),
    ],
)
def test_what_is_no_picture_is_refused(picture: Picture, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        untrained(0).detect(picture)


def test_weights_that_do_not_go_with_the_file_are_one_line(tmp_path: Path, saved: Path) -> None:
    state = untrained(0).network.state_dict()
    for info, message in (
        (
            dataclasses.replace(INFO, scale=dataclasses.replace(SCALE, head_width=16)),
            "holds weights of another network than it says: class_tower.shared.convs.0.weight is 8 x 8 x 3 x 3, the "
            "network's is 16 x 8 x 3 x 3",
        ),
        (dataclasses.replace(INFO, architecture="r51-fpn"), "unknown network 'r51-fpn'"),
    ):
        save_detector(tmp_path / "detector.pt", info, raw=state)
        with pytest.raises(InputError) as caught:
            load_detector(tmp_path)
        assert message in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / "detector.pt"))

    save_detector(tmp_path / "detector.pt", INFO, raw=state)
    with pytest.raises(InputError, match=r"detector\.pt holds no averaged weights, there are raw"):
        load_detector(tmp_path, weights="averaged")
    assert detector_path(saved) == saved
