"""A backbone in timm's manner: a list of features, and a `feature_info` that describes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from proxy_tasks.networks.backbone import Backbone


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """The features that a network returns, asked for as of timm's networks with `features_only=True`."""

    levels: tuple[int, ...]
    num_channels: int

    def channels(self) -> list[int]:
        """Return the channels of each feature."""
        return [self.num_channels] * len(self.levels)

    def reduction(self) -> list[int]:
        """Return the stride of each feature in pixels."""
        return [2**level for level in self.levels]


class FeatureList(nn.Module):
    """Some of the features of a backbone, as a list.

    Args:
        backbone: makes these features, and maybe others.
        levels: of the features to return, in this order.

    Raises:
        ValueError: the backbone has no such level.
    """

    def __init__(self, backbone: Backbone, levels: Sequence[int]) -> None:
        super().__init__()
        absent = sorted(set(levels) - set(backbone.output_levels))
        if absent:
            raise ValueError(f"levels must be of the backbone's {backbone.output_levels}, got {absent[0]}")
        self.backbone = backbone
        self.feature_info = FeatureInfo(tuple(levels), backbone.output_channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return a (B, C, H / 2**l, W / 2**l) feature of (B, 3, H, W) normalised images for each level l."""
        features = dict(zip(self.backbone.output_levels, self.backbone(images), strict=True))
        return [features[level] for level in self.feature_info.levels]


def levels_at(levels: Sequence[int], out_indices: Sequence[int]) -> tuple[int, ...]:
    """Return the levels at these positions; negative ones count from the end, as timm's do.

    Raises:
        ValueError: there is no such position, one is named twice, or none at all.
    """
    valid = range(-len(levels), len(levels))
    chosen = tuple(levels[i] for i in out_indices if i in valid)
    if not chosen or len(set(chosen)) < len(out_indices):
        all_levels = ", ".join(map(str, levels))
        raise ValueError(
            f"out_indices must be different positions from 0 to {len(levels) - 1}, of the levels {all_levels}; "
            f"got {tuple(out_indices)}"
        )
    return chosen
