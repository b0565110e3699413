"""Trials that start from a trained network: what agrees is taken, is on record, and decides what a run is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from foundation import InputError
from proxy_tasks import BadDataError, Fidelity, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.networks.named_networks import Head, build_network
from proxy_tasks.short_training.pretrained import start_from
from proxy_tasks.training.recipe import Recipe
from search_space import ArchSpec, Candidate, ModelScale, published_spec
from tests.conftest import TINY_SEARCH, Run

SCALE = ModelScale(
    width_multiplier=0.0625,
    stem_width=8,
    endpoint_width=8,
    num_head_convs=1,
    head_width=8,
    image_size_px=64,
    anchor_scale=2.0,
)
SPEC, OTHER = published_spec("spinenet-49"), published_spec("r0-sp53")


def network(spec: ArchSpec, seed: int, head: Head = "retinanet", num_classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(spec, SCALE, head=head, num_classes=num_classes)


def trained_file(folder: Path, head: Head = "retinanet", seed: int = 7) -> Path:
    path = folder / f"{head}.pt"
    categories = tuple(Category(i, name) for i, name in enumerate("abc"))
    info = DetectorInfo(
        "mine", SPEC, SCALE, categories, "raw", head="mask_rcnn" if head == "mask_rcnn" else "retinanet"
    )
    save_detector(path, info, raw=network(SPEC, seed, head).state_dict())
    return path


def test_the_same_architecture_takes_all_but_the_layer_of_classes(tmp_path: Path) -> None:
    own, new, theirs = network(SPEC, 1), network(SPEC, 1).state_dict(), network(SPEC, 7).state_dict()
    share = start_from(own, trained_file(tmp_path), "retinanet")
    assert 0.9 < share < 1
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, (new if name.startswith("class_tower.predict") else theirs)[name]), name


def test_another_architecture_takes_what_agrees_in_name_and_size_and_stays_new_elsewhere(tmp_path: Path) -> None:
    own, new, theirs = network(OTHER, 1), network(OTHER, 1).state_dict(), network(SPEC, 7).state_dict()
    share = start_from(own, trained_file(tmp_path), "retinanet")
    taken = 0
    for name, tensor in own.state_dict().items():
        agrees = name in theirs and theirs[name].shape == tensor.shape and not name.startswith("class_tower.predict")
        taken += tensor.numel() if agrees else 0
        assert torch.equal(tensor, (theirs if agrees else new)[name]), name
    assert share == taken / sum(tensor.numel() for tensor in own.state_dict().values())
    assert 0.05 < share < 0.9


@pytest.mark.parametrize(("own", "other"), [("retinanet", "mask_rcnn"), ("classifier", "retinanet")])
def test_the_backbone_is_taken_of_another_head_and_nothing_else(tmp_path: Path, own: Head, other: Head) -> None:
    filled, new, theirs = (
        network(SPEC, 1, own),
        network(SPEC, 1, own).state_dict(),
        network(SPEC, 7, other).state_dict(),
    )
    start_from(filled, trained_file(tmp_path, other), own)
    place = {"mask_rcnn": "backbone.backbone."}.get(other, "backbone.")
    for name, tensor in filled.state_dict().items():
        there = theirs[place + name.removeprefix("backbone.")] if name.startswith("backbone.") else new[name]
        assert torch.equal(tensor, there), name


def test_a_network_of_another_class_of_sizes_takes_only_what_fits(tmp_path: Path) -> None:
    # Five classes: the layer that predicts them has another size, and is left out anyway.
    assert start_from(network(SPEC, 1, num_classes=5), trained_file(tmp_path), "retinanet") > 0.9


def test_a_trial_starts_there_and_says_how_much_it_took(tmp_path: Path) -> None:
    shapes = Shapes(tmp_path / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8)
    plain = DetectionProxy(shapes, SCALE, Recipe(batch_size=8, learning_rate=1e-4), cache_dir=tmp_path / "cache")
    plain.prepare(silent)
    started = replace(plain, pretrained=trained_file(tmp_path))
    assert started.prepare(silent)[-1].startswith(f"pretrained: {tmp_path / 'retinanet.pt'} has 9")
    assert "pretrained_share" in started.metric_names
    assert "pretrained_share" not in plain.metric_names

    results = [
        task.evaluate(Candidate(SPEC), fidelity=Fidelity(0.3), seed=0).metrics for task in (plain, started, started)
    ]
    assert "pretrained_share" not in results[0]
    assert results[1]["pretrained_share"] > 0.9
    assert results[1]["loss"] != results[0]["loss"]
    assert results[1] == results[2]


def test_a_file_that_cannot_be_used_is_one_line_before_data_is_made_and_in_a_trial(tmp_path: Path) -> None:
    shapes = Shapes(tmp_path / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8)
    absent = DetectionProxy(shapes, SCALE, cache_dir=tmp_path / "cache", pretrained=tmp_path / "absent.pt")
    with pytest.raises(InputError, match=r"absent\.pt is not there"):
        absent.prepare(silent)
    assert not (tmp_path / "shapes").exists()

    replace(absent, pretrained=None).prepare(silent)
    with pytest.raises(BadDataError, match=r"^task\.pretrained: .*absent\.pt is not there"):
        absent.evaluate(Candidate(SPEC), fidelity=Fidelity(0.1), seed=0)

    path = tmp_path / "cut.pt"
    path.write_bytes(trained_file(tmp_path).read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cut\.pt is damaged"):
        replace(absent, pretrained=path).prepare(silent)


def test_a_search_starts_its_trials_there_and_is_resumed_with_that_file_alone(call: Run, tmp_path: Path) -> None:
    path = trained_file(tmp_path)
    search = ("nas.search", *TINY_SEARCH, "executor=local", "tracking=none")
    found = call(*search, "num_trials=1", f"task.pretrained={path}")
    assert found.returncode == 0, found.stderr
    told = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()][-1]
    assert 0 < told["metrics"]["pretrained_share"] < 1

    without = call(*search, "num_trials=2", "task.pretrained=null")
    assert without.returncode == 2
    assert "was made with task.pretrained=" in without.stderr

    trained_file(tmp_path, seed=8)
    changed = call(*search, "num_trials=2", f"task.pretrained={path}")
    assert changed.returncode == 2
    assert "was begun on other pretrained: their content had the hash" in changed.stderr
