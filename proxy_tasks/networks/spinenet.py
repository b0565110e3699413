"""A spec at a scale as a backbone: stem, scale-permuted blocks, and one endpoint for each output level."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.blocks import block, output_channels
from proxy_tasks.networks.layers import ConvNorm, same_max_pool
from proxy_tasks.networks.resample import Resample
from search_space.spec import NUM_STEM_PARENTS, STEM_LEVEL, ArchSpec, ModelScale, live_blocks

STEM_WIDTH = 64
"""Channels after the first convolution, whatever the scale."""


class SpineNet(nn.Module):
    """Backbone for any `ArchSpec` at any `ModelScale`.

    Only what reaches an output is built. Images need not be square nor multiples of anything: a level-l feature has
    ceil(H / 2**l) rows.

    Source: SpineNet (arXiv 1912.05027), section 3; tensorflow/tpu spinenet.py.
    """

    def __init__(self, spec: ArchSpec, scale: ModelScale) -> None:
        super().__init__()
        self._live = live_blocks(spec)
        # A stem block that feeds nothing is not built; the first of the two feeds the second.
        used = {f for live in self._live for f in (*live.parents, *live.leftovers)}
        self._num_stem_parents = 1 + max(f for f in range(NUM_STEM_PARENTS) if f in used)
        self._levels = [feature.level for feature in spec.features]
        act, repeats = scale.activation, scale.block_repeats
        self._activate = F.relu if act == "relu" else F.silu
        widths = [scale.block_width(feature.level) for feature in spec.features]
        channels = [output_channels(feature.kind, w) for feature, w in zip(spec.features, widths, strict=True)]

        self.stem_conv = ConvNorm(3, STEM_WIDTH, 7, stride=2, act=act)
        self.stem = nn.ModuleList()
        c_in, level = STEM_WIDTH, STEM_LEVEL
        for stem_block in spec.stem[: len(spec.stem) - NUM_STEM_PARENTS + self._num_stem_parents]:
            width = scale.block_width(stem_block.level)
            stride = 2 ** (stem_block.level - level)
            self.stem.append(block(stem_block.kind, c_in, width, stride, repeats, act))
            c_in, level = output_channels(stem_block.kind, width), stem_block.level

        self.resamples = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        self.endpoints = nn.ModuleDict()
        for live in self._live:
            child = live.feature
            for parent in live.parents:
                self.resamples[f"{parent}_{child}"] = Resample(
                    channels[parent],
                    int(widths[parent] * scale.resample_alpha),
                    channels[child],
                    goes_down=self._levels[parent] < self._levels[child],
                    act=act,
                )
            self.blocks[str(child)] = block(spec.features[child].kind, channels[child], widths[child], 1, repeats, act)
            if live.is_output:
                self.endpoints[str(child)] = ConvNorm(channels[child], scale.endpoint_width, 1, act=act)
        self.output_levels = tuple(sorted(spec.output_levels))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, endpoint_width, H / 2**l, W / 2**l) feature for each of `output_levels`.

        Args:
            images: (B, 3, H, W), normalised.
        """
        x = same_max_pool(self.stem_conv(images), (3, 3), (2, 2))
        stem = []
        for stem_block in self.stem:
            x = stem_block(x)
            stem.append(x)
        features = dict(enumerate(stem[-self._num_stem_parents :]))
        endpoints: dict[int, Tensor] = {}
        for live in self._live:
            level = self._levels[live.feature]
            size = (math.ceil(images.shape[-2] / 2**level), math.ceil(images.shape[-1] / 2**level))
            total = sum(self.resamples[f"{p}_{live.feature}"](features[p], size) for p in live.parents)
            total = total + sum(features[f] for f in live.leftovers) if live.leftovers else total
            feature = self.blocks[str(live.feature)](self._activate(total))
            features[live.feature] = feature
            if live.is_output:
                endpoints[level] = self.endpoints[str(live.feature)](feature)
        return tuple(endpoints[level] for level in self.output_levels)
