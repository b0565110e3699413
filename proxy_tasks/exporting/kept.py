"""A detector that answers with the boxes that nas.detect keeps: suppression as a part of the exported network."""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.detection.detections import MAX_DETECTIONS, MIN_SCORE, NMS_IOU
from proxy_tasks.exporting.boxes import DetectorWithBoxes

Keep: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From (B, N, 4) corners, (B, N) classes and (B, N) scores, best first, to (B, N): whether a box is kept."""

NO_LABEL = -1
"""Class of an entry that is no box."""


class DetectorWithKept(nn.Module):
    """A detector followed by suppression: in each image the best boxes that overlap no better one of their class.

    It answers with `MAX_DETECTIONS` entries for each image and with the number of those that are boxes; the others
    follow, with corners and score 0 and the label `NO_LABEL`. What is kept is what `detect` keeps.

    Attributes:
        detector: the detector, which answers with all boxes.
        keep: which boxes are kept; `keep_one_by_one`, or an engine's own operator.
    """

    OUTPUT_NAMES: ClassVar[tuple[str, ...]] = (*DetectorWithBoxes.OUTPUT_NAMES, "num_boxes")

    def __init__(self, detector: DetectorWithBoxes, keep: Keep | None = None) -> None:
        super().__init__()
        self.detector = detector
        self.keep: Keep = keep or keep_one_by_one

    def forward(self, images: Tensor, sizes_px: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (B, M, 4) corners in pixels, (B, M) class indices, (B, M) scores, best first, and (B,) numbers.

        Args:
            images: (B, 3, S, S) normalised.
            sizes_px: (B, 2) height and width of each image without its padding.
        """
        boxes, labels, scores = self.candidates(images, sizes_px)
        return packed(self.keep(boxes, labels, scores), boxes, labels, scores)

    def candidates(self, images: Tensor, sizes_px: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, N, 4) corners in pixels, (B, N) class indices and (B, N) scores that suppression chooses from."""
        boxes, labels, scores = self.detector(images)

        # A box that reaches into the padding suppresses as what it covers of the image.
        corner = sizes_px.flip(-1).repeat(1, 2)[:, None]  # (B, 1, 4) the image's lower right corner, twice
        return torch.minimum(boxes, corner), labels, scores


def keep_one_by_one(boxes_xyxy: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
    """Return (B, N) whether a box is kept: the best that is left, again and again, without those that it overlaps.

    At most `MAX_DETECTIONS` are kept of an image.

    Args:
        boxes_xyxy: (B, N, 4) corners in pixels.
        labels: (B, N) class indices.
        scores: (B, N), best first.
    """
    # In double precision, as nas.detect compares them.
    corners = boxes_xyxy.double()
    areas = (corners[..., 2:] - corners[..., :2]).prod(dim=-1)  # (B, N)
    rank = torch.arange(scores.shape[1], device=scores.device)  # (N,)

    def is_unfinished(step: Tensor, is_left: Tensor, _: Tensor) -> Tensor:
        return (step < MAX_DETECTIONS) & is_left.any()

    def next_step(step: Tensor, is_left: Tensor, is_kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        best = is_left.to(torch.uint8).argmax(dim=1, keepdim=True)  # (B, 1), the first that is left
        is_best = (rank == best) & is_left  # (B, N), nowhere where none is left
        corners_of_best = corners.gather(1, best[..., None].expand(-1, -1, 4))  # (B, 1, 4)

        first = torch.maximum(corners[..., :2], corners_of_best[..., :2])  # (B, N, 2)
        last = torch.minimum(corners[..., 2:], corners_of_best[..., 2:])  # (B, N, 2)
        shared = (last - first).clamp(min=0).prod(dim=-1)  # (B, N)
        iou = shared / (areas.gather(1, best) + areas - shared)  # (B, N), not a number between boxes without area
        is_suppressed = (iou > NMS_IOU) & (labels == labels.gather(1, best))  # (B, N)
        return step + 1, is_left & ~is_best & ~is_suppressed, is_kept | is_best

    is_left = scores > MIN_SCORE  # (B, N)
    state = torch.zeros((), dtype=torch.int64, device=scores.device), is_left, torch.zeros_like(is_left)
    if torch.compiler.is_exporting():
        # A branch on a value cannot be exported, and a hundred steps one after the other would be a large program.
        state = torch.while_loop(is_unfinished, next_step, state)  # type: ignore[no-untyped-call]  # torch leaves it so
    else:
        while is_unfinished(*state):
            state = next_step(*state)
    return state[2]


def packed(
    is_kept: Tensor, boxes_xyxy: Tensor, labels: Tensor, scores: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the first `MAX_DETECTIONS` boxes that are kept, and their number."""
    num_candidates = is_kept.shape[1]
    num = min(MAX_DETECTIONS, num_candidates)
    order = torch.arange(num_candidates, 0, -1, device=is_kept.device, dtype=torch.float32)  # (N,)
    falling, place = (is_kept * order).topk(num, dim=1)  # (B, num); 0 where no more are kept
    is_box = falling > 0  # (B, num)

    boxes = boxes_xyxy.gather(1, place[..., None].expand(-1, -1, 4)) * is_box[..., None]  # (B, num, 4)
    chosen = torch.where(is_box, labels.gather(1, place), NO_LABEL)  # (B, num)
    best = scores.gather(1, place) * is_box  # (B, num)

    more = MAX_DETECTIONS - num
    padded = F.pad(boxes, (0, 0, 0, more)), F.pad(chosen, (0, more), value=NO_LABEL), F.pad(best, (0, more))
    return *padded, is_box.sum(dim=1)
