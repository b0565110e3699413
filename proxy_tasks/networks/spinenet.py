"""A spec at a scale as a backbone: stem, scale-permuted blocks, and one endpoint for each output level."""

import math
from collections.abc import Collection

from torch import Tensor, nn

from proxy_tasks.networks.blocks import block, output_channels
from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle, Reference, same_max_pool
from proxy_tasks.networks.resample import Fusion, Resample, SeparableResample
from search_space.spec import MOBILE_STEM_LEVEL, NUM_STEM_PARENTS, STEM_LEVEL, ArchSpec, ModelScale, live_blocks

STEM_WIDTH = 64
"""Channels after the first convolution, whatever the scale; in a network of `mbconv` blocks they scale too."""


class SpineNet(nn.Module):
    """Backbone for any `ArchSpec` at any `ModelScale`.

    Only what reaches an output is built. Images need not be square nor multiples of anything: a level-l feature has
    ceil(H / 2**l) rows.

    Args:
        spec: the topology.
        scale: how big each part is.
        reference: whose network, where the released ones differ.
        output_levels: outputs to return, all by default; blocks that feed none of them are not built.

    Raises:
        ValueError: the scale leaves a block no channel, an unknown reference, or a level without an output.

    Source: SpineNet (arXiv 1912.05027), section 3 and appendix A; tensorflow/tpu spinenet.py and spinenet_mbconv.py.
    """

    def __init__(
        self,
        spec: ArchSpec,
        scale: ModelScale,
        reference: Reference = "tpu",
        output_levels: Collection[int] | None = None,
    ) -> None:
        super().__init__()
        self._live = live_blocks(spec, output_levels)
        # Equal keys mean equal networks, so blocks that reach no output do not count here.
        place_of = {live.feature: place for place, live in enumerate(live_blocks(spec), start=1)}
        # A stem block that feeds nothing is not built; the first of the two feeds the second.
        used = {f for live in self._live for f in (*live.parents, *live.leftovers)}
        self._num_stem_parents = 1 + max(f for f in range(NUM_STEM_PARENTS) if f in used)
        self._levels = [feature.level for feature in spec.features]
        self._pools_in_stem = not spec.is_mobile
        style = LayerStyle(scale.activation, reference)
        widths = [scale.block_width(feature.level, feature.kind) for feature in spec.features]
        channels = [output_channels(feature.kind, w) for feature, w in zip(spec.features, widths, strict=True)]
        c_in = scale.block_width(0, "mbconv") if spec.is_mobile else STEM_WIDTH
        if min(c_in, *widths) < 1:
            raise ValueError(f"width_multiplier {scale.width_multiplier} leaves a block of this spec no channel")

        self.stem_conv = ConvNorm(3, c_in, 3 if spec.is_mobile else 7, style, stride=2)
        self.stem = nn.ModuleList()
        level = MOBILE_STEM_LEVEL if spec.is_mobile else STEM_LEVEL
        for stem_block in spec.stem[: len(spec.stem) - NUM_STEM_PARENTS + self._num_stem_parents]:
            width = scale.block_width(stem_block.level, stem_block.kind)
            stride = 2 ** (stem_block.level - level)
            self.stem.append(block(stem_block.kind, c_in, width, style, stride=stride, repeats=scale.block_repeats))
            c_in, level = output_channels(stem_block.kind, width), stem_block.level

        self.fusions = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        self.endpoints = nn.ModuleDict()
        self.act = Activation(scale.activation)
        for live in self._live:
            child = live.feature
            resamples: list[Resample | SeparableResample] = []
            for parent in live.parents:
                c_parent, c_child = channels[parent], channels[child]
                levels_down = self._levels[child] - self._levels[parent]
                if spec.is_mobile:
                    resamples.append(SeparableResample(c_parent, c_child, levels_down, style))
                else:
                    c_mid = int(widths[parent] * scale.resample_alpha)
                    resamples.append(Resample(c_parent, c_mid, c_child, levels_down, style))
            self.fusions[str(child)] = Fusion(resamples)
            self.blocks[str(child)] = block(
                spec.features[child].kind,
                channels[child],
                widths[child],
                style,
                repeats=scale.block_repeats,
                skip_rate=scale.stochastic_depth * place_of[child] / len(place_of),
            )
            if live.is_output:
                self.endpoints[str(child)] = ConvNorm(channels[child], scale.endpoint_width, 1, style)
        self.output_levels = tuple(sorted(self._levels[live.feature] for live in self._live if live.is_output))
        self.output_channels = scale.endpoint_width

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, endpoint_width, H / 2**l, W / 2**l) feature for each of `output_levels`.

        Args:
            images: (B, 3, H, W), normalised.
        """
        x = self.stem_conv(images)
        if self._pools_in_stem:
            x = same_max_pool(x, (3, 3), (2, 2))
        stem = []
        for stem_block in self.stem:
            x = stem_block(x)
            stem.append(x)
        features = dict(enumerate(stem[-self._num_stem_parents :]))
        endpoints: dict[int, Tensor] = {}
        for live in self._live:
            level = self._levels[live.feature]
            size = (math.ceil(images.shape[-2] / 2**level), math.ceil(images.shape[-1] / 2**level))
            total: Tensor = self.fusions[str(live.feature)]([features[parent] for parent in live.parents], size)
            for leftover in live.leftovers:
                total += features[leftover]
            feature = self.blocks[str(live.feature)](self.act(total))
            features[live.feature] = feature
            if live.is_output:
                endpoints[level] = self.endpoints[str(live.feature)](feature)
        return tuple(endpoints[level] for level in self.output_levels)
