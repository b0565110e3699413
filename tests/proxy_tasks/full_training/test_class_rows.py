"""Fine-tuning keeps what the weights know of classes that the data has too."""

import dataclasses
from pathlib import Path

import pytest
import torch

from foundation import InputError
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.full_training.starting_weights import fill, read_start
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.retinanet import RetinaNet
from search_space import ModelScale, published_spec

SPEC = published_spec("spinenet-49")
TINY = ModelScale(width_multiplier=0.125, endpoint_width=8, num_head_convs=1, head_width=8)


def detector(seed: int, num_classes: int, scale: ModelScale = TINY) -> RetinaNet:
    torch.manual_seed(seed)
    return build_detector(SPEC, scale, num_classes)


def fill_from(
    folder: Path,
    network: RetinaNet,
    class_names: tuple[str, ...],
    trained: RetinaNet,
    names: tuple[str, ...],
    scale: ModelScale = TINY,
) -> None:
    """Fill a network with classes of some names from the file of another."""
    categories = tuple(Category(k, name) for k, name in enumerate(names))
    save_detector(folder / "a.pt", DetectorInfo("a", SPEC, scale, categories, "raw"), raw=trained.state_dict())
    fill(network, read_start(folder / "a.pt"), folder / "a.pt", "retinanet", class_names)


@pytest.mark.parametrize("separable", [False, True])
def test_rows_of_classes_whose_names_agree_are_kept_for_every_anchor(tmp_path: Path, separable: bool) -> None:
    scale = dataclasses.replace(TINY, separable_head=separable)
    trained = detector(0, 4, scale)
    network, own = detector(1, 3, scale), detector(1, 3, scale).state_dict()
    known = (NO_CATEGORY, "cat", "dog", "cow")
    fill_from(tmp_path, network, ("cow", NO_CATEGORY, "cat"), trained, known, scale)

    part = "class_tower.predict.1." if separable else "class_tower.predict."
    for name in (f"{part}weight", f"{part}bias"):
        filled, new, theirs = (
            state[name].unflatten(0, (9, -1)) for state in (network.state_dict(), own, trained.state_dict())
        )
        assert torch.equal(filled[:, [0, 2]], theirs[:, [3, 1]])
        # A class without a category is no class that the weights know.
        assert torch.equal(filled[:, 1], new[:, 1])
    if separable:
        depthwise, theirs = (one.state_dict()["class_tower.predict.0.weight"] for one in (network, trained))
        assert torch.equal(depthwise, theirs)


def test_names_that_two_classes_have_are_nobodys_and_other_networks_are_refused(tmp_path: Path) -> None:
    network, own = detector(1, 2), detector(1, 2).state_dict()
    fill_from(tmp_path, network, ("cat", "cow"), detector(0, 3), ("cat", "cat", "dog"))
    assert torch.equal(network.state_dict()["class_tower.predict.weight"], own["class_tower.predict.weight"])

    wide = dataclasses.replace(TINY, head_width=16)
    with pytest.raises(InputError, match=r"weights=.*a\.pt are of another network: class_tower"):
        fill_from(tmp_path, network, ("cat", "cow"), detector(0, 3, wide), ("cat", "cow", "dog"), wide)
