"""The scale of a network: how big each part of a spec is built, and on what size of images."""

from dataclasses import dataclass
from typing import Literal

from foundation import check_range
from search_space.kinds import MIN_LEVEL, kind_named

MAX_IMAGE_SIZE_PX = 8192
"""Largest side of the images that a network reads, each 200 MB of bytes and 800 MB of floating point."""


@dataclass(frozen=True, slots=True)
class ModelScale:
    """The size at which a spec is built; one spec at several scales is a family, as SpineNet-49/96/143/190.

    Attributes:
        width_multiplier: every block width is `int(width * width_multiplier)`.
        stem_width: channels of the first convolution in networks of ResNet blocks, whatever the width multiplier;
            those of `mbconv` blocks have 8 times the width multiplier.
        resample_alpha: width inside a resampling, relative to the parent's 3x3 width.
        block_repeats: how many copies of each block follow one another.
        endpoint_width: channels of the features the head reads.
        num_head_convs: 3x3 convolutions before each prediction.
        head_width: channels of those convolutions.
        image_size_px: height and width of the square input image.
        anchor_scale: side of the smallest anchor in strides of its level.
        activation: after every normalisation that has one.
        stochastic_depth: share of samples that skip the last block in training; block i of n skips a share i/n of it.
        separable_head: whether the head's convolutions are depthwise and then 1x1, as in SpineNet-Mobile.

    Source: SpineNet (arXiv 1912.05027), sections 3.4 and 4; tensorflow/tpu SCALING_MAP and configs/spinenet.
    """

    width_multiplier: float = 1.0
    stem_width: int = 64
    resample_alpha: float = 0.5
    block_repeats: int = 1
    endpoint_width: int = 256
    num_head_convs: int = 4
    head_width: int = 256
    image_size_px: int = 640
    anchor_scale: float = 3.0
    activation: Literal["relu", "silu"] = "relu"
    stochastic_depth: float = 0.0
    separable_head: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high, reason in (
            ("stem_width", self.stem_width, 1, 8192, "every published network has 64"),
            ("block_repeats", self.block_repeats, 1, 32, "SpineNet-190 has 4"),
            ("endpoint_width", self.endpoint_width, 1, 8192, "SpineNet-190 has 512"),
            ("num_head_convs", self.num_head_convs, 0, 64, "SpineNet-190 has 7"),
            ("head_width", self.head_width, 1, 8192, "SpineNet-190 has 512"),
            ("image_size_px", self.image_size_px, 32, MAX_IMAGE_SIZE_PX, "an image of 8192 px takes 200 MB"),
            ("width_multiplier", self.width_multiplier, 0.001, 16, "SpineNet-190 has 1.3"),
            ("resample_alpha", self.resample_alpha, 0.001, 4, "SpineNet-190 has 1"),
            ("anchor_scale", self.anchor_scale, 0.01, 64, "anchors of level 7 are then as large as the largest image"),
        ):
            check_range(name, value, low, high, reason)

        # The lowest level is the narrowest, and widths are truncated: that of its resamplings may be nothing.
        if int(self.block_width(MIN_LEVEL) * self.resample_alpha) < 1:
            raise ValueError(
                f"width_multiplier {self.width_multiplier} with resample_alpha {self.resample_alpha} leaves a "
                f"level-{MIN_LEVEL} block no channel"
            )

        if not 0 <= self.stochastic_depth < 1:
            raise ValueError(f"stochastic_depth must be from 0 to below 1, got {self.stochastic_depth}")
        if self.activation not in ("relu", "silu"):
            raise ValueError(f"activation must be relu or silu, got {self.activation!r}")

    @property
    def short_form(self) -> str:
        """The figures by which scales of one family differ, in one line.

        >>> ModelScale().short_form
        '640px w1 a0.5 r1 e256 h4x256'
        """
        widths = f"w{self.width_multiplier:g} a{self.resample_alpha:g} r{self.block_repeats}"
        return f"{self.image_size_px}px {widths} e{self.endpoint_width} h{self.num_head_convs}x{self.head_width}"

    def block_width(self, level: int, kind: str = "bottleneck") -> int:
        """Return the channels of a block's 3x3 convolutions, or of what an `mbconv` block reads and writes.

        Truncated as in the reference, never rounded.
        """
        return int(kind_named(kind).family.width(level) * self.width_multiplier)
