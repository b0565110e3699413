"""The cost of a network: trainable parameters and multiply-adds, counted without computing anything."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchvision.models.detection import MaskRCNN

from proxy_tasks.networks.mask_rcnn import BOX_ROI_PX, MASK_ROI_PX, NUM_PROPOSALS
from proxy_tasks.networks.named_networks import build_detector
from search_space import ArchSpec, ModelScale

_CountedLayer: TypeAlias = nn.Conv2d | nn.ConvTranspose2d | nn.Linear

_NUM_MASKS = 100
"""Boxes for which Mask R-CNN computes a mask; the published figures are counted so."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Size and work of one network or of a part of it.

    Attributes:
        params: trainable parameters.
        macs: multiply-adds of convolutions and linear layers for one image; what the literature calls FLOPs.
    """

    params: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs)


def network_cost(network: nn.Module, image_size_px: tuple[int, int]) -> Cost:
    """Count a network on the meta device, for one (3, height, width) image, in evaluation.

    Raises:
        ValueError: the network is not on the meta device, where nothing is computed.
    """
    return part_costs(network, image_size_px)[""]


def part_costs(network: nn.Module, image_size_px: tuple[int, int]) -> Mapping[str, Cost]:
    """Count a network as `network_cost` does, and each of its modules, by its name in `named_modules`; `""` is all.

    Of torchvision's Mask R-CNN the box head is counted for 1000 proposals, the mask head for 100 boxes.
    torch's own counter gives the same figures, but takes longer: it takes every operator apart.

    Raises:
        ValueError: see `network_cost`.
    """
    if any(p.device.type != "meta" for p in network.parameters()):
        raise ValueError("costs are counted on the meta device; build the network with on_meta")

    macs = _count_macs(network, image_size_px)
    costs: dict[str, Cost] = defaultdict(lambda: Cost(0, 0))
    for name, module in network.named_modules():
        num_params = sum(p.numel() for p in module.parameters(recurse=False) if p.requires_grad)
        own = Cost(num_params, macs.get(module, 0))

        # A module counts in every module around it, up to the whole network, whose name is empty.
        path = name.split(".") if name else []
        for depth in range(len(path) + 1):
            costs[".".join(path[:depth])] += own
    return dict(costs)


def detector_cost(architecture: str | ArchSpec, scale: ModelScale, num_classes: int) -> Cost:
    """Count the RetinaNet of a spec or of a named network, head included, boxes and suppression not."""
    network = on_meta(lambda: build_detector(architecture, scale, num_classes))
    return network_cost(network, (scale.image_size_px, scale.image_size_px))


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what `build` returns, built on the meta device: shapes without values."""
    with torch.device("meta"):
        return build()


def _count_macs(network: nn.Module, image_size_px: tuple[int, int]) -> Mapping[nn.Module, int]:
    """Return the multiply-adds of each convolution and linear layer for one image."""
    macs: dict[nn.Module, int] = defaultdict(int)

    def watch(layer: _CountedLayer) -> RemovableHandle:
        def count(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            # A weight is used once for each pixel written, in a transposed convolution for each pixel read.
            pixels = args[0] if isinstance(layer, nn.ConvTranspose2d) else out
            macs[layer] += layer.weight.numel() * pixels[:, 0].numel()

        return layer.register_forward_hook(count)

    hooks = [watch(layer) for layer in network.modules() if isinstance(layer, _CountedLayer)]

    # A normalisation changes no shape, and without values torch takes longer over it than over all else together.
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.forward = _unchanged  # type: ignore[method-assign]  # until the count is done

    network.eval()
    image = torch.empty(1, 3, *image_size_px, device="meta")
    with torch.no_grad():
        if isinstance(network, MaskRCNN):
            _run_mask_rcnn(network, image)
        else:
            network(image)

    for hook in hooks:
        hook.remove()
    for norm in norms:
        del norm.forward
    return macs


def _unchanged(input: Tensor) -> Tensor:
    return input


def _run_mask_rcnn(network: MaskRCNN, image: Tensor) -> None:
    """Run every part on fixed shapes: how many boxes are found depends on values, which the meta device lacks."""
    heads = network.roi_heads
    features = list(network.backbone(image).values())
    channels = features[0].shape[1]

    network.rpn.head(features)
    heads.box_predictor(heads.box_head(image.new_empty(NUM_PROPOSALS, channels, BOX_ROI_PX, BOX_ROI_PX)))
    heads.mask_predictor(heads.mask_head(image.new_empty(_NUM_MASKS, channels, MASK_ROI_PX, MASK_ROI_PX)))
