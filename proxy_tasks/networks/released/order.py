"""The order in which the released code creates the layers of a backbone, which its names count by."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from proxy_tasks.networks.blocks import BottleneckUnit, MBConvUnit, ResidualUnit
from proxy_tasks.networks.layers import ConvNorm, Reference, separated
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec
from search_space.spec import live_blocks


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that are created one after the other in one part of the network.

    Attributes:
        part: the part; what resamples a parent belongs to one of the blocks.
        layers: convolutions and normalisations, which share their memory with the network.
        kind: kind of the block, as bottleneck; empty where it is none.
        block: number of the block among the features, the two that the stem makes being 0 and 1; 0 where it is none.
        position: of the parent among the block's.
    """

    part: Literal["stem", "resampling", "block", "endpoints"]
    layers: tuple[nn.Module, ...]
    kind: str = ""
    block: int = 0
    position: int = 0


def layer_groups(backbone: SpineNet, spec: ArchSpec, reference: Reference) -> Iterator[LayerGroup]:
    """Yield the layers of a backbone of that spec in the order in which the released code creates its own.

    Args:
        backbone: the network.
        spec: its topology.
        reference: the code; the two differ where a mobile unit has its gate.

    Source: tensorflow/tpu spinenet.py, spinenet_mbconv.py and nn_blocks.py; tensorflow/models spinenet.py,
        spinenet_mobile.py and nn_blocks.py.
    """
    yield LayerGroup("stem", tuple(_conv_norms(backbone.stem_conv)))
    for stem_block, chain in zip(spec.stem, backbone.stem, strict=False):
        yield LayerGroup("stem", tuple(_chain(chain, reference)), stem_block.kind)

    # The released code narrows a parent for each child by itself.
    num_children = Counter(parent for live in live_blocks(spec) for parent in live.parents)
    narrows = {
        parent: iter(separated(layer, num_children[int(parent)]))
        for parent, layer in backbone.narrows.items()
        if isinstance(layer, ConvNorm)
    }
    for live in live_blocks(spec):
        resamples = backbone.fusions[str(live.feature)].get_submodule("resamples")
        for position, (parent, resample) in enumerate(zip(live.parents, resamples.children(), strict=True)):
            narrow = [next(narrows[str(parent)])] if str(parent) in narrows else []
            layers = [layer for module in (*narrow, resample) for layer in _conv_norms(module)]
            yield LayerGroup("resampling", tuple(layers), block=live.feature, position=position)
        layers = list(_chain(backbone.blocks[str(live.feature)], reference))
        yield LayerGroup("block", tuple(layers), spec.features[live.feature].kind, live.feature)

    children = sorted(backbone.endpoints, key=lambda child: spec.features[int(child)].level)
    endpoints = [layer for child in children for layer in _conv_norms(backbone.endpoints[child])]
    yield LayerGroup("endpoints", tuple(endpoints))


def _chain(chain: nn.Module, reference: Reference) -> Iterator[nn.Module]:
    """Yield the layers of a block's copies: a residual unit's shortcut comes first."""
    for unit in chain.children():
        if isinstance(unit, BottleneckUnit | ResidualUnit):
            yield from _conv_norms(unit.projection)
            yield from _conv_norms(unit.branch)
        elif isinstance(unit, MBConvUnit):
            yield from _inverted_bottleneck(unit, reference)


def _inverted_bottleneck(unit: MBConvUnit, reference: Reference) -> Iterator[nn.Module]:
    """Yield the layers of a mobile unit: tensorflow/models creates its gate last, tensorflow/tpu where it is used."""
    expand, filter_, gate, project = unit.branch.children()
    parts = (expand, filter_, project, gate) if reference == "model_garden" else (expand, filter_, gate, project)
    for part in parts:
        yield from (part.children() if part is gate else _conv_norms(part))


def _conv_norms(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of a module's pairs of convolution and normalisation, wherever they stand in it."""
    for part in module.modules():
        if isinstance(part, ConvNorm):
            yield from part.parts()
