"""Our backbones under torchvision's own detectors."""

import math
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet
from torchvision.ops import MultiScaleRoIAlign

from proxy_tasks.networks.level_anchors import LevelAnchors
from proxy_tasks.networks.resnet_fpn import ResNet50FPN
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.networks.torchvision_backbone import TorchvisionBackbone, roi_pool
from search_space import ModelScale, published_spec

# FCOS normalises in groups of channels, of which it has 32.
SCALE = ModelScale(width_multiplier=0.0625, endpoint_width=32, image_size_px=128, activation="silu")
# All anchors count, as a sample of 256 may leave out the few of level 7; of regions few, as torchvision has wide heads.
TWO_STAGES = {
    "num_classes": 3,
    "rpn_batch_size_per_image": 10**4,
    "box_batch_size_per_image": 8,
    "rpn_post_nms_top_n_test": 8,
    "box_detections_per_img": 2,
}
ONE_SIZE = {"min_size": 128, "max_size": 160}


def spinenet() -> TorchvisionBackbone:
    return TorchvisionBackbone(SpineNet(published_spec("spinenet-49"), SCALE))


def with_own_anchors(detector: Callable[..., nn.Module]) -> nn.Module:
    backbone = spinenet()
    anchors = LevelAnchors(backbone.levels, (3.0,))
    pools = {"box_roi_pool": roi_pool(backbone, 7)}
    if detector is MaskRCNN:
        pools["mask_roi_pool"] = roi_pool(backbone, 14)
    return detector(backbone, rpn_anchor_generator=anchors, **pools, **TWO_STAGES, **ONE_SIZE)


DETECTORS: dict[str, Callable[[], nn.Module]] = {
    "RetinaNet": lambda: RetinaNet(
        spinenet(), 3, anchor_generator=LevelAnchors((3, 4, 5, 6, 7), (3.0, 3.8, 4.8)), **ONE_SIZE
    ),
    "FCOS": lambda: FCOS(
        spinenet(), 3, anchor_generator=LevelAnchors((3, 4, 5, 6, 7), (1.0,), aspect_ratios=(1.0,)), **ONE_SIZE
    ),
    "FasterRCNN": lambda: with_own_anchors(FasterRCNN),
    "MaskRCNN": lambda: with_own_anchors(MaskRCNN),
    # With everything that torchvision makes by itself.
    "FasterRCNN as it comes": lambda: FasterRCNN(spinenet(), **TWO_STAGES, **ONE_SIZE),
    "RetinaNet as it comes": lambda: RetinaNet(TorchvisionBackbone(ResNet50FPN(SCALE)), 3, **ONE_SIZE),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_torchvision_s_detectors_train_every_parameter_of_a_backbone_and_answer(name: str) -> None:
    torch.manual_seed(0)
    detector = DETECTORS[name]()
    images = [torch.rand(3, 128, 160), torch.rand(3, 128, 128)]
    targets = []
    for image in images:
        masks = torch.zeros(2, *image.shape[1:], dtype=torch.uint8)
        masks[0, 20:60, 20:70] = masks[1, 4:124, 4:124] = 1
        boxes = torch.tensor([[20.0, 20, 70, 60], [4, 4, 124, 124]])
        targets.append({"boxes": boxes, "labels": torch.tensor([1, 2]), "masks": masks})

    losses = detector.train()(images, targets)
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in detector.get_submodule("backbone").named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None or not grad.isfinite().all()] == []
    assert [name for name, grad in gradients.items() if grad is not None and not grad.any()] == []

    with torch.no_grad():
        found = detector.eval()(images)
    assert [set(one) >= {"boxes", "labels", "scores"} for one in found] == [True, True]


def levels_read(pool: MultiScaleRoIAlign, backbone: TorchvisionBackbone, sides_px: list[int]) -> list[float]:
    """Return the level that each square region is pooled from: a feature's value is its level."""
    size = 1024
    features = OrderedDict(
        (name, torch.full((1, 1, math.ceil(size / 2**level), math.ceil(size / 2**level)), float(level)))
        for name, level in zip(backbone.names, backbone.levels, strict=True)
    )
    boxes = torch.tensor([[16.0, 16.0, 16.0 + side, 16.0 + side] for side in sides_px])
    pooled = pool(features, [boxes], [(size, size)])  # (N, 1, S, S)
    return [float(value) for value in pooled.mean((1, 2, 3))]


def test_a_region_is_read_from_the_level_of_its_size_and_not_all_from_one() -> None:
    # Equation 1 of the paper of feature pyramids: 224 px belong to level 4, and twice that to the next.
    backbone = spinenet()
    sides_px = [50, 120, 230, 450, 900]
    assert levels_read(roi_pool(backbone, 7), backbone, sides_px) == [3, 3, 4, 5, 6]
    for pool in ("box_roi_pool", "mask_roi_pool"):
        as_it_comes = MaskRCNN(backbone, num_classes=3).get_submodule(f"roi_heads.{pool}")
        assert isinstance(as_it_comes, MultiScaleRoIAlign)
        assert levels_read(as_it_comes, backbone, sides_px) == [3, 3, 4, 5, 6]


def test_a_pool_knows_the_strides_whatever_the_first_image() -> None:
    backbone = spinenet().eval()
    pool = roi_pool(backbone, 7)
    with torch.no_grad():
        pool(backbone(torch.zeros(1, 3, 96, 96)), [torch.tensor([[0.0, 0, 50, 50]])], [(90, 90)])
    assert pool.scales == [1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]
    assert levels_read(pool, backbone, [900, 50]) == [6, 3]


def test_a_pool_refuses_levels_between_which_one_is_missing() -> None:
    backbone = TorchvisionBackbone(SpineNet(published_spec("spinenet-49"), SCALE, output_levels=(3, 5)))
    assert backbone.names == ["0", "1"]
    with pytest.raises(ValueError, match=r"levels must follow one another, got 3, 5"):
        roi_pool(backbone, 7)
