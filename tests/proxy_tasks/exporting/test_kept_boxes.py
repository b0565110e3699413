"""Suppression in exported detectors: what is kept is what nas.detect keeps, and the check sees where it is not."""

import copy
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from proxy_tasks.coco.batches import normalise
from proxy_tasks.coco.decode import fit, fitted_size
from proxy_tasks.detection.detections import MAX_DETECTIONS, MIN_SCORE
from proxy_tasks.detection.detector_file import save_detector
from proxy_tasks.exporting.agreement import are_equal, largest_difference, random_batches
from proxy_tasks.exporting.kept import NO_LABEL, DetectorWithKept, keep_one_by_one, packed
from proxy_tasks.exporting.same_boxes import difference_of_kept
from proxy_tasks.exporting.stand_alone import stand_alone_source
from proxy_tasks.exporting.subject import Subject, detector_subject
from tests.proxy_tasks.detection.test_detector import INFO, a_picture, untrained


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    path = tmp_path_factory.mktemp("kept") / "detector.pt"
    info = dataclasses.replace(INFO, metrics={"AP": float("nan")})
    save_detector(path, info, raw=untrained(0).network.state_dict())
    return detector_subject(path, None, None, "kept")


def test_an_exported_detector_keeps_what_the_detector_finds_in_pictures_of_any_shape(subject: Subject) -> None:
    pictures = [a_picture(40, 64), a_picture(90, 30), a_picture(64, 64)]
    wanted = untrained(0).detect(pictures, min_score=MIN_SCORE)

    fitted = np.array([fitted_size(picture.height, picture.width, 64) for picture in pictures], np.float32)
    pixels = torch.from_numpy(np.stack([fit(picture, 64) for picture in pictures]))
    sizes_px = torch.from_numpy(fitted)
    with torch.no_grad():
        boxes, labels, scores, numbers = subject.network(normalise(pixels, sizes_px, INFO.normalisation), sizes_px)

    for i, (found, num) in enumerate(zip(wanted, numbers.tolist(), strict=True)):
        assert num == len(found.scores) > 0
        assert torch.equal(labels[i, :num], found.labels)
        assert torch.equal(scores[i, :num], found.scores)
        scale = torch.tensor([pictures[i].width / fitted[i, 1], pictures[i].height / fitted[i, 0]]).repeat(2)
        assert torch.allclose(boxes[i, :num] * scale, found.boxes_xyxy, atol=1e-4)
        assert (labels[i, num:] == NO_LABEL).all()
        assert not boxes[i, num:].any()
    assert boxes.shape == (3, MAX_DETECTIONS, 4)


Outputs = tuple[Tensor, Tensor, Tensor, Tensor]


def without_the_first(boxes: Tensor, labels: Tensor, scores: Tensor, numbers: Tensor) -> Outputs:
    def end(value: Tensor) -> Tensor:
        return torch.full_like(value[:, :1], NO_LABEL if value is labels else 0)

    first_gone = (torch.cat((value[:, 1:], end(value)), dim=1) for value in (boxes, labels, scores))
    return *first_gone, numbers - 1  # type: ignore[return-value]  # three of them


def moved(boxes: Tensor, labels: Tensor, scores: Tensor, numbers: Tensor) -> Outputs:
    return boxes + (scores > 0)[..., None], labels, scores, numbers


def of_another_class(boxes: Tensor, labels: Tensor, scores: Tensor, numbers: Tensor) -> Outputs:
    return boxes, torch.where(labels >= 0, 1 - labels, labels), scores, numbers


def said_twice(boxes: Tensor, labels: Tensor, scores: Tensor, numbers: Tensor) -> Outputs:
    place = torch.tensor([0, *range(MAX_DETECTIONS - 1)])
    return boxes[:, place], labels[:, place], scores[:, place], (numbers + 1).clamp(max=MAX_DETECTIONS)


def with_the_worst_first(boxes: Tensor, labels: Tensor, scores: Tensor, numbers: Tensor) -> Outputs:
    num = int(numbers[0])
    place = torch.tensor([num - 1, *range(num - 1), *range(num, MAX_DETECTIONS)])
    return boxes[:, place], labels[:, place], scores[:, place], numbers


@pytest.mark.parametrize("spoil", [without_the_first, moved, of_another_class, said_twice, with_the_worst_first])
def test_the_check_sees_boxes_that_would_not_be_kept(subject: Subject, spoil: object) -> None:
    network = subject.network
    assert isinstance(network, DetectorWithKept)
    ((images, sizes_px),) = random_batches(subject, [1])
    with torch.no_grad():
        answer = network(images, sizes_px)
    assert int(answer[-1]) > 1
    assert difference_of_kept(network, (images, sizes_px), answer) < 1e-6
    assert callable(spoil)
    assert difference_of_kept(network, (images, sizes_px), spoil(*answer)) > 1e-3


@pytest.mark.parametrize("suppresses", [True, False])
def test_the_check_sees_boxes_that_are_not_a_number(subject: Subject, suppresses: bool) -> None:
    network = subject.network
    assert isinstance(network, DetectorWithKept)
    batches = random_batches(subject, [1])
    if not suppresses:
        subject = dataclasses.replace(subject, network=network.detector)
        batches = [(images,) for images, _ in batches]
    with torch.no_grad():
        boxes, *others = subject.network(*batches[0])
    assert largest_difference(subject, batches, [(boxes, *others)]) < 1e-6
    assert largest_difference(subject, batches, [(boxes * torch.nan, *others)]) == torch.inf


def test_a_detector_that_finds_hardly_anything_is_compared_where_it_does(subject: Subject) -> None:
    network = copy.deepcopy(subject.network)
    predict = network.get_submodule("detector.network.class_tower.predict")
    assert isinstance(predict, torch.nn.Conv2d)
    torch.nn.init.normal_(predict.weight, std=0.1)
    torch.nn.init.constant_(predict.bias, -4.6)  # type: ignore[arg-type]  # this convolution has a bias
    batches = random_batches(dataclasses.replace(subject, network=network), [1, 3])
    with torch.no_grad():
        assert all(int(network(*inputs)[-1].sum()) for inputs in batches)


def test_either_of_two_boxes_of_one_score_may_be_kept(subject: Subject) -> None:
    network = copy.deepcopy(subject.network)
    assert isinstance(network, DetectorWithKept)
    predict = network.get_submodule("detector.network.class_tower.predict")
    torch.nn.init.zeros_(predict.weight)  # type: ignore[arg-type]  # a convolution has weights
    ((images, sizes_px),) = random_batches(subject, [1])
    with torch.no_grad():
        candidates = network.candidates(images, sizes_px)
        others = tuple(value.flip(1) for value in candidates)
        first = packed(keep_one_by_one(*candidates), *candidates)
        last = packed(keep_one_by_one(*others), *others)
    assert not torch.equal(first[0], last[0])
    assert difference_of_kept(network, (images, sizes_px), last) < 1e-6


def test_the_source_code_keeps_the_same_boxes_where_a_figure_of_the_training_is_not_a_number(subject: Subject) -> None:
    assert json.dumps(subject.about, allow_nan=False)
    names: dict[str, Any] = {"__name__": "alone"}
    exec(stand_alone_source(subject), names)
    assert names["ABOUT"]["detector"]["metrics"] == {"AP": None}

    network = names["build"]()
    network.detector.network.load_state_dict(subject.bare_network.state_dict())
    batches = random_batches(subject, [2])
    with torch.no_grad():
        assert are_equal(subject, batches, [network(*inputs) for inputs in batches])
