"""The file of a trained classifier: what was saved is what is read, and nothing else is taken for it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from foundation import InputError
from proxy_tasks.classification.classifier_file import ClassifierInfo, read_classifier, save_classifier
from proxy_tasks.detection.detector_file import Category, DetectorInfo, read_detector, save_detector
from search_space import ModelScale, published_spec

RAW = {"predict.weight": torch.arange(6.0).view(2, 3)}
INFO = ClassifierInfo(
    name="spinenet-49",
    architecture=published_spec("spinenet-49"),
    scale=ModelScale(width_multiplier=0.125, image_size_px=64),
    class_names=("n01440764", "n01443537"),
    weights="raw",
    recipe={"learning_rate": 0.1, "classification.crop_area": [0.08, 1.0]},
    metrics={"top1": 0.5, "top5": 1.0},
)


def test_a_saved_classifier_is_read_as_it_was(tmp_path: Path) -> None:
    save_classifier(tmp_path / "run" / "classifier.pt", INFO, raw=RAW)
    found = read_classifier(tmp_path / "run" / "classifier.pt")
    assert found.info == INFO
    assert list(found.states) == ["raw"]
    assert torch.equal(found.states["raw"]["predict.weight"], RAW["predict.weight"])


def test_a_classifier_is_no_detector_and_a_detector_no_classifier(tmp_path: Path) -> None:
    save_classifier(tmp_path / "classifier.pt", INFO, raw=RAW)
    with pytest.raises(InputError, match=r"classifier\.pt holds no trained detector, but a trained classifier"):
        read_detector(tmp_path / "classifier.pt")
    info = DetectorInfo("a", "spinenet-49", INFO.scale, (Category(1, "x"),), "raw")
    save_detector(tmp_path / "detector.pt", info, raw=RAW)
    with pytest.raises(InputError, match=r"detector\.pt holds no trained classifier, but a trained detector"):
        read_classifier(tmp_path / "detector.pt")


def test_classes_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="the names of classes must differ"):
        dataclasses.replace(INFO, class_names=("a", "a"))
    with pytest.raises(ValueError, match=r"class_names must be two or more, got \['a'\]"):
        dataclasses.replace(INFO, class_names=("a",))
