"""Box codes of torchvision's detectors whose sizes count a box's last pixel, as tensorflow/tpu has them."""

from torch import Tensor
from torchvision.models.detection._utils import BoxCoder


class LastPixelCoder(BoxCoder):  # type: ignore[misc]  # torchvision gives its classes no types
    """torchvision's codes, decoded as if each box were a pixel longer.

    Args:
        weights: factors of the four numbers.
        encodes: whether targets of a training are made in the same way, as those of Mask R-CNN's regions are; those
            of proposals are not.

    Source: tensorflow/tpu box_utils.py encode_boxes and decode_boxes, anchor.py RpnAnchorLabeler.
    """

    def __init__(self, weights: tuple[float, float, float, float], *, encodes: bool) -> None:
        super().__init__(weights)
        self._encodes = encodes

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Return (N, 4) codes of (N, 4) boxes relative to (N, 4) others, corners in pixels."""
        pixels = int(self._encodes)
        codes: Tensor = super().encode_single(_longer(reference_boxes, pixels), _longer(proposals, pixels))
        return codes

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Return (N, 4 * K) corners in pixels of (N, 4 * K) codes relative to (N, 4) boxes."""
        decoded: Tensor = super().decode_single(rel_codes, _longer(boxes, 1))
        return _longer(decoded, -1)


def _longer(boxes_xyxy: Tensor, pixels: int) -> Tensor:
    """Return (N, 4 * K) boxes whose right and lower sides lie so many pixels further."""
    shift = boxes_xyxy.new_tensor([0, 0, pixels, pixels])
    return boxes_xyxy + shift.repeat(boxes_xyxy.shape[-1] // 4)
