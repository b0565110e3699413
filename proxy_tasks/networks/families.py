"""The network around the blocks of each family: its first convolution, and how a parent is resampled to its child."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy_tasks.networks.layers import ConvNorm, LayerStyle
from proxy_tasks.networks.resample import Resample, SeparableResample
from search_space import ModelScale
from search_space.kinds import MOBILE, RESNET, Family

_MOBILE_STEM_WIDTH = 8


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """A feature, as a resampling needs to know it.

    Attributes:
        level: it has stride `2**level` px.
        width: width of the block that makes it, see `ModelScale.block_width`.
        channels: channels of the feature itself.
    """

    level: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class NetworkFamily:
    """Everything in which the networks of one family differ from others, but for their blocks.

    Attributes:
        stem_kernel_size: side of the first convolution in pixels; its stride is 2.
        stem_channels: returns the channels after it at a scale.
        pools_in_stem: whether a max pool of stride 2 follows.
        narrow: makes the layer that each child's resampling of a parent begins with; None where it begins with none.
        resample: makes the module that brings a parent to its child's size and channels.
    """

    stem_kernel_size: int
    stem_channels: Callable[[ModelScale], int]
    pools_in_stem: bool
    narrow: Callable[[FeatureShape, ModelScale, LayerStyle], ConvNorm] | None
    resample: Callable[[FeatureShape, FeatureShape, ModelScale, LayerStyle], Resample | SeparableResample]


def network_family(family: Family) -> NetworkFamily:
    """Return what networks of these blocks have around them."""
    return _NETWORK_FAMILIES[family]


def _stem_width(scale: ModelScale) -> int:
    return scale.stem_width


def _scaled_mobile_stem_width(scale: ModelScale) -> int:
    # Truncated as the widths of blocks are.
    return int(_MOBILE_STEM_WIDTH * scale.width_multiplier)


def _middle_width(parent: FeatureShape, scale: ModelScale) -> int:
    return int(parent.width * scale.resample_alpha)


def _narrow(parent: FeatureShape, scale: ModelScale, style: LayerStyle) -> ConvNorm:
    return ConvNorm(parent.channels, _middle_width(parent, scale), 1, style)


def _dense_resample(
    parent: FeatureShape, child: FeatureShape, scale: ModelScale, style: LayerStyle
) -> Resample | SeparableResample:
    return Resample(_middle_width(parent, scale), child.channels, child.level - parent.level, style)


def _separable_resample(
    parent: FeatureShape, child: FeatureShape, scale: ModelScale, style: LayerStyle
) -> Resample | SeparableResample:
    return SeparableResample(parent.channels, child.channels, child.level - parent.level, style)


# Source: SpineNet (arXiv 1912.05027), section 3 and appendix A; tensorflow/tpu spinenet.py and spinenet_mbconv.py.
_NETWORK_FAMILIES = {
    RESNET: NetworkFamily(
        stem_kernel_size=7,
        stem_channels=_stem_width,
        pools_in_stem=True,
        narrow=_narrow,
        resample=_dense_resample,
    ),
    MOBILE: NetworkFamily(
        stem_kernel_size=3,
        stem_channels=_scaled_mobile_stem_width,
        pools_in_stem=False,
        narrow=None,
        resample=_separable_resample,
    ),
}
