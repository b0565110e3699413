"""What a network costs: trainable parameters and multiply-adds, counted without computing anything."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from proxy_tasks.networks.retinanet import RetinaNet
from search_space import ArchSpec, ModelScale


@dataclass(frozen=True, slots=True)
class Cost:
    """Size and work of one network.

    Attributes:
        params: trainable parameters.
        macs: multiply-adds of the convolutions for one image; what the literature calls FLOPs.
    """

    params: int
    macs: int


def network_cost(network: nn.Module, image_size_px: tuple[int, int]) -> Cost:
    """Count a network that lives on the meta device, for one (3, height, width) image."""
    images = torch.empty(1, 3, *image_size_px, device="meta")
    counter = FlopCounterMode(display=False)
    network.eval()
    with counter, torch.no_grad():
        network(images)
    params = sum(p.numel() for p in network.parameters() if p.requires_grad)
    # torch counts a multiply and an add as two.
    return Cost(params=params, macs=counter.get_total_flops() // 2)


def detector_cost(spec: ArchSpec, scale: ModelScale, num_classes: int) -> Cost:
    """Count the RetinaNet of a spec, head included, boxes and suppression not."""
    with torch.device("meta"):
        network = RetinaNet(spec, scale, num_classes)
    return network_cost(network, (scale.image_size_px, scale.image_size_px))
