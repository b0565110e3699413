"""SpineNet: a spec at a scale as a backbone of stem, scale-permuted blocks, and an endpoint for each output level."""

import itertools
from collections.abc import Collection, Iterator

from torch import Tensor, nn

from proxy_tasks.networks.blocks import block, output_channels
from proxy_tasks.networks.families import FeatureShape, network_family
from proxy_tasks.networks.fused_stem import can_fuse_stem, fused_stem
from proxy_tasks.networks.gpu_operators import are_fused
from proxy_tasks.networks.layers import Activation, ConvNorm, LayerStyle, Reference, ceil_divided, joined, same_max_pool
from proxy_tasks.networks.resample import Fusion
from search_space.scale import ModelScale
from search_space.spec import NUM_STEM_PARENTS, ArchSpec, BlockSpec, StemBlock, live_blocks


class SpineNet(nn.Module):
    """Backbone for any `ArchSpec` at any `ModelScale`.

    Only what reaches an output is built. Images need not be square nor multiples of anything: a level-l feature has
    ceil(H / 2**l) rows.

    Args:
        spec: the topology.
        scale: how big each part is.
        reference: code whose network it is, where the released ones differ.
        output_levels: outputs to return, all by default; blocks that feed none of them are not built.

    Raises:
        ValueError: the scale leaves a block no channel, an unknown reference, a level without an output, or the unit of
            a kind cannot be imported.

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
        self._levels = [feature.level for feature in spec.features]
        family = network_family(spec.family)
        style = LayerStyle(scale.activation, reference)

        # Without a channel torch would build layers that compute nothing.
        shapes = [_shape(feature, scale) for feature in spec.features]
        c_in = family.stem_channels(scale)
        if min(c_in, *(shape.width for shape in shapes)) < 1:
            raise ValueError(f"width_multiplier {scale.width_multiplier} leaves a block of this spec no channel")

        # A stem block that feeds nothing is not built; the first of the two feeds the second.
        used = {f for live in self._live for f in (*live.parents, *live.leftovers)}
        self._num_stem_parents = 1 + max(f for f in range(NUM_STEM_PARENTS) if f in used)
        num_stem_blocks = len(spec.stem) - NUM_STEM_PARENTS + self._num_stem_parents

        self._pools_in_stem = family.pools_in_stem
        self.stem_conv = ConvNorm(3, c_in, family.stem_kernel_size, style, stride=2)
        self.stem = nn.ModuleList()
        level = spec.family.stem_level
        for stem_block in spec.stem[:num_stem_blocks]:
            shape = _shape(stem_block, scale)
            stride = 2 ** (shape.level - level)
            self.stem.append(
                block(stem_block.kind, c_in, shape.width, style, stride=stride, repeats=scale.block_repeats)
            )
            c_in, level = shape.channels, shape.level

        # Equal keys mean equal networks: a block that reaches no output must not change how often others are skipped.
        numbers = {live.feature: number for number, live in enumerate(live_blocks(spec), start=1)}
        narrows: dict[int, list[ConvNorm]] = {}
        self.fusions = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        self.endpoints = nn.ModuleDict()
        self.act = Activation(scale.activation)
        for live in self._live:
            name, shape = str(live.feature), shapes[live.feature]
            skip_rate = scale.stochastic_depth * numbers[live.feature] / len(numbers)

            resamples = []
            for f in live.parents:
                if family.narrow is not None:
                    narrows.setdefault(f, []).append(family.narrow(shapes[f], scale, style))
                resamples.append(family.resample(shapes[f], shape, scale, style))

            self.fusions[name] = Fusion(resamples)
            self.blocks[name] = block(
                spec.features[live.feature].kind,
                shape.channels,
                shape.width,
                style,
                repeats=scale.block_repeats,
                skip_rate=skip_rate,
            )
            if live.is_output:
                self.endpoints[name] = ConvNorm(shape.channels, scale.endpoint_width, 1, style)

        # Resamplings of one feature begin alike, and read the same.
        self._num_narrows = {f: len(layers) for f, layers in narrows.items()}
        self.narrows = nn.ModuleDict({str(f): joined(layers) for f, layers in narrows.items()})

        self.output_levels = tuple(sorted(self._levels[live.feature] for live in self._live if live.is_output))
        self.output_channels = scale.endpoint_width

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, endpoint_width, H / 2**l, W / 2**l) feature for each of `output_levels`.

        Args:
            images: (B, 3, H, W), normalised.
        """
        x = first_feature(self.stem_conv, images, pools=self._pools_in_stem)  # (B, C, H / 4, W / 4), or half of H and W
        stem = []
        for stem_block in self.stem:
            x = stem_block(x)
            stem.append(x)

        features = dict(enumerate(stem[-self._num_stem_parents :]))
        for_children = {f: self._for_children(f, feature) for f, feature in features.items()}
        endpoints: dict[int, Tensor] = {}
        for live in self._live:
            name, level = str(live.feature), self._levels[live.feature]
            size = (ceil_divided(images.shape[-2], 2**level), ceil_divided(images.shape[-1], 2**level))

            # Outputs that nothing else reads are added before the activation.
            act = None if live.leftovers else self.act
            total: Tensor = self.fusions[name](
                [next(for_children[f]) for f in live.parents], size, act
            )  # (B, C, *size)
            for leftover in live.leftovers:
                total += features[leftover]

            feature = self.blocks[name](total if act else self.act(total))
            features[live.feature] = feature
            for_children[live.feature] = self._for_children(live.feature, feature)
            if live.is_output:
                endpoints[level] = self.endpoints[name](feature)  # (B, endpoint_width, *size)

        return tuple(endpoints[level] for level in self.output_levels)

    def _for_children(self, number: int, feature: Tensor) -> Iterator[Tensor]:
        """Return what the resamplings of a feature read, in the order in which they were built."""
        if str(number) not in self.narrows:
            return itertools.repeat(feature)
        narrowed: Tensor = self.narrows[str(number)](feature)
        return iter(narrowed.chunk(self._num_narrows[number], dim=1))


def first_feature(stem_conv: nn.Module, images: Tensor, *, pools: bool) -> Tensor:
    """Return (B, C, H / 2, W / 2), or (B, C, H / 4, W / 4) where it pools.

    In a training on a GPU that is done as `fused_stem` says.
    """
    if are_fused(images) and isinstance(stem_conv, ConvNorm):
        conv, norm, *act = stem_conv.children()
        if can_fuse_stem(conv, norm, images) and len(act) == 1 and isinstance(act[0], Activation):
            return fused_stem(*stem_conv.parts(), images, activation=act[0].name, pools=pools)

    x: Tensor = stem_conv(images)
    return same_max_pool(x, (3, 3), (2, 2)) if pools else x


def _shape(feature: StemBlock | BlockSpec, scale: ModelScale) -> FeatureShape:
    width = scale.block_width(feature.level, feature.kind)
    return FeatureShape(feature.level, width, output_channels(feature.kind, width))
