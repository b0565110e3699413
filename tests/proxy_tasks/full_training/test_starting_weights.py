"""The weights that a training starts from: all of its own head, the backbone of another, new where classes differ."""

from pathlib import Path

import pytest
import torch
from torch import nn

from foundation import InputError
from proxy_tasks.classification.classifier_file import ClassifierInfo, save_classifier
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.full_training.head_names import HEADS, HeadName
from proxy_tasks.full_training.starting_weights import fill, read_start
from proxy_tasks.networks.named_networks import build_network
from search_space import ModelScale

SCALE = ModelScale(width_multiplier=0.0625, stem_width=8, endpoint_width=8, head_width=8, num_head_convs=1)
CLASSES = ("a", "b", "c")
BACKBONES = {"retinanet": "backbone.", "mask_rcnn": "backbone.backbone.", "classifier": "backbone."}
OF_CLASSES = {
    "retinanet": {"predict"},
    "mask_rcnn": {"cls_score", "bbox_pred", "3"},
    "classifier": {"predict"},
}


def network(head: HeadName, seed: int, num_classes: int = 3, scale: ModelScale = SCALE) -> nn.Module:
    torch.manual_seed(seed)
    return build_network("r50-fpn", scale, head=head, num_classes=num_classes)


def file_of(head: HeadName, folder: Path) -> Path:
    """Write weights of seed 0 as a file of their head."""
    path, raw = folder / f"{head}.pt", network(head, 0).state_dict()
    if head == "classifier":
        save_classifier(path, ClassifierInfo("mine", "r50-fpn", SCALE, CLASSES, "raw", norm_epsilon=1e-5), raw=raw)
    else:
        categories = tuple(Category(i, name) for i, name in enumerate(CLASSES))
        info = DetectorInfo("mine", "r50-fpn", SCALE, categories, "raw", norm_epsilon=1e-5, head=head)
        save_detector(path, info, raw=raw)
    return path


@pytest.mark.parametrize("own", HEADS)
@pytest.mark.parametrize("other", HEADS)
def test_the_backbone_is_taken_of_any_head_and_the_rest_of_the_same_one(
    tmp_path: Path, own: HeadName, other: HeadName
) -> None:
    path = file_of(other, tmp_path)
    start = read_start(path)
    assert (start.head, start.class_names, start.norm_epsilon) == (other, CLASSES, 1e-5)
    filled, new, theirs = network(own, 1), network(own, 1).state_dict(), network(other, 0).state_dict()
    fill(filled, start, path, own, CLASSES)
    num_theirs = 0
    for name, tensor in filled.state_dict().items():
        there = BACKBONES[other] + name.removeprefix(BACKBONES[own]) if name.startswith(BACKBONES[own]) else ""
        if own == other:
            there = name
        num_theirs += bool(there)
        assert torch.equal(tensor, theirs[there] if there else new[name]), name
    assert num_theirs > 200


@pytest.mark.parametrize("head", ["retinanet", "mask_rcnn", "classifier"])
def test_the_layer_of_classes_is_new_where_they_are_others_and_nothing_else_is(tmp_path: Path, head: HeadName) -> None:
    path = file_of(head, tmp_path)
    filled, new, theirs = network(head, 1, 7), network(head, 1, 7).state_dict(), network(head, 0).state_dict()
    fill(filled, read_start(path), path, head, tuple("tuvwxyz"))
    fresh = {name for name, tensor in filled.state_dict().items() if not torch.equal(tensor, theirs[name])}
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in fresh} == OF_CLASSES[head]
    assert all(torch.equal(filled.state_dict()[name], new[name]) for name in fresh)


def test_a_classifier_keeps_the_rows_of_classes_with_the_same_names(tmp_path: Path) -> None:
    path = file_of("classifier", tmp_path)
    filled, new, theirs = network("classifier", 1, 2), network("classifier", 1, 2), network("classifier", 0)
    fill(filled, read_start(path), path, "classifier", ("c", "z"))
    for name in ("predict.weight", "predict.bias"):
        tensor = filled.state_dict()[name]
        assert torch.equal(tensor[0], theirs.state_dict()[name][2])
        assert torch.equal(tensor[1], new.state_dict()[name][1])


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    path = file_of("classifier", tmp_path)
    wider = network("retinanet", 1, scale=ModelScale(width_multiplier=0.125, endpoint_width=8, head_width=8))
    with pytest.raises(InputError, match=r"weights=.*classifier\.pt are of another network: backbone\..* differs"):
        fill(wider, read_start(path), path, "retinanet", CLASSES)
