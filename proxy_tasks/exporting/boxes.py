"""A detector that answers with boxes: decoding and the choice of the best, as parts of the network that is exported."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from proxy_tasks.detection.anchors import decode_boxes
from proxy_tasks.detection.detections import MAX_CANDIDATES
from proxy_tasks.networks.retinanet import RawDetections


class DetectorWithBoxes(nn.Module):
    """A detector followed by the decoding of its best pairs of anchor and class, which suppression then reads.

    They are as many in each image, `MAX_CANDIDATES` or all there are, and overlap: boxes of one object are not yet
    suppressed.

    Attributes:
        network: maps (B, 3, S, S) images to `RawDetections`.
        image_size_px: S.
        counts_last_pixel: see `decode_boxes`.

    Args:
        network: a detector.
        anchors_xyxy: (A, 4) corners in pixels.
        image_size_px: S; boxes are clipped to it.
        num_classes: K.
        unused_classes: classes that are not looked for; their scores are zero.
        counts_last_pixel: see `decode_boxes`.
    """

    OUTPUT_NAMES: ClassVar[tuple[str, ...]] = ("boxes_xyxy", "labels", "scores")

    anchors_xyxy: Tensor
    is_unused: Tensor

    def __init__(
        self,
        network: nn.Module,
        anchors_xyxy: Tensor,
        image_size_px: int,
        num_classes: int,
        unused_classes: Sequence[int],
        *,
        counts_last_pixel: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.image_size_px, self.counts_last_pixel = network, image_size_px, counts_last_pixel
        self.register_buffer("anchors_xyxy", anchors_xyxy, persistent=False)
        is_unused = torch.tensor([k in set(unused_classes) for k in range(num_classes)])  # (K,)
        self.register_buffer("is_unused", is_unused, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, N, 4) corners in pixels, (B, N) class indices and (B, N) scores, best first."""
        raw = self.raw(images)
        num_pairs = raw.class_logits[0].numel()
        num_classes = raw.class_logits.shape[-1]

        # By logits, which fall as scores do: those near 1 would be rounded to the same score.
        logits, pair = raw.class_logits.flatten(1).topk(min(MAX_CANDIDATES, num_pairs), dim=1)  # (B, N)
        anchor, labels = torch.div(pair, num_classes, rounding_mode="floor"), pair % num_classes  # (B, N) each

        codes = raw.box_codes.gather(1, anchor[..., None].expand(-1, -1, 4))  # (B, N, 4)
        boxes = self._decoded(codes, self.anchors_xyxy[anchor])  # (B, N, 4)
        return boxes, labels, logits.sigmoid()

    def raw(self, images: Tensor) -> RawDetections:
        """Return the network's own answer, without the classes that are not looked for."""
        logits, codes = self.network(images)
        return RawDetections(logits.masked_fill(self.is_unused, -math.inf), codes)

    def all_boxes(self, raw: RawDetections) -> tuple[Tensor, Tensor]:
        """Return (B, A, 4) the box of every anchor, and (B, A, K) its score for every class."""
        return self._decoded(raw.box_codes, self.anchors_xyxy), raw.class_logits.sigmoid()

    def _decoded(self, codes: Tensor, anchors_xyxy: Tensor) -> Tensor:
        boxes = decode_boxes(codes, anchors_xyxy, counts_last_pixel=self.counts_last_pixel)
        return boxes.clamp(0, self.image_size_px)
