"""Anchors of one level: boxes of several sides and aspect ratios around the middle of every cell of a feature."""

from collections.abc import Sequence

import torch
from torch import Tensor

ASPECT_RATIOS = (1.0, 2.0, 0.5)
"""Width over height, in the reference's order."""


def anchor_grid(
    size: tuple[int, int],
    stride_px: int,
    sides_px: Sequence[float],
    aspect_ratios: Sequence[float] = ASPECT_RATIOS,
    device: torch.device | None = None,
) -> Tensor:
    """Return (A, 4) corners in pixels: by row, column, side, aspect ratio.

    Args:
        size: rows and columns of the feature.
        stride_px: distance between two cells.
        sides_px: of the square anchors; others have the same area.
        aspect_ratios: width over height.
        device: device to make them on; None is torch's default.

    Source: RetinaNet (arXiv 1708.02002), section 4; tensorflow/tpu anchor.py.
    """
    sides = torch.tensor(sides_px, device=device)[:, None]  # (S, 1)
    roots = torch.tensor(aspect_ratios, device=device).sqrt()  # (R,); the area stays the same
    half = torch.stack((sides * roots, sides / roots), dim=-1).reshape(-1, 2) / 2  # (S * R, 2)

    middle_y, middle_x = ((torch.arange(num, device=device) + 0.5) * stride_px for num in size)  # (H,), (W,)
    y, x = torch.meshgrid(middle_y, middle_x, indexing="ij")
    centre = torch.stack((x, y), dim=-1).reshape(-1, 1, 2)  # (H * W, 1, 2)

    corners = torch.cat((centre - half, centre + half), dim=-1)  # (H * W, S * R, 4)
    return corners.reshape(-1, 4)
