"""The comparison of what an exported detector keeps with what nas.detect keeps, up to rounding and ties."""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torchvision.ops import box_iou

from proxy_tasks.detection.detections import MAX_CANDIDATES, MAX_DETECTIONS, MIN_SCORE, NMS_IOU, detect
from proxy_tasks.exporting.kept import NO_LABEL, DetectorWithKept
from proxy_tasks.networks.onnx_file import TOLERANCE


class _Kept(NamedTuple):
    """The N boxes that are kept of one image, best first: (N, 4) corners, each divided by S, (N,) labels and scores."""

    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor

    def overlaps(self, other: Self) -> Tensor:
        """Return (N, M) how far boxes overlap those of the same class in another list; 0 for those of another."""
        iou = box_iou(self.boxes_xyxy.double(), other.boxes_xyxy.double()).nan_to_num(0)  # (N, M)
        return torch.where(self.labels[:, None] == other.labels, iou, 0)

    def distances(self, other: Self) -> Tensor:
        """Return (N,) how far the nearest box of the same class in another list lies, scores included."""
        of_box = (self.boxes_xyxy[:, None] - other.boxes_xyxy).abs().amax(dim=-1)  # (N, M)
        of_score = (self.scores[:, None] - other.scores).abs()  # (N, M)
        apart = torch.where(self.labels[:, None] == other.labels, torch.maximum(of_box, of_score), torch.inf)
        return torch.cat((apart, torch.full((len(apart), 1), torch.inf)), dim=1).amin(dim=1)


@torch.no_grad()
def difference_of_kept(network: DetectorWithKept, inputs: tuple[Tensor, ...], answer: tuple[Tensor, ...]) -> float:
    """Return how far the boxes that a file keeps lie from those that `detect` keeps, relative to the images' size.

    Of boxes whose scores or overlaps are equal up to rounding either may be kept. So each box that only one of the two
    has must overlap one of the other that is as good, no two boxes of the file may overlap, and each must be one of
    the network's. Infinity where that is not so.

    Args:
        network: the network.
        inputs: images and their sizes.
        answer: the file's four outputs, all finite.
    """
    (images, sizes_px), (boxes, labels, scores, numbers), detector = inputs, answer, network.detector
    raw = detector.raw(images)
    found = detect(raw, detector.anchors_xyxy, sizes_px, counts_last_pixel=detector.counts_last_pixel)

    scale = images.shape[-1]
    worst = 0.0
    for image, (num, *of_image) in enumerate(zip(numbers.tolist(), *network.candidates(images, sizes_px), strict=True)):
        candidates = _Kept(of_image[0] / scale, *of_image[1:])
        # Where an image has more candidates than are looked at, either of two that score alike may be the last.
        lowest = float(candidates.scores[-1]) if len(candidates.scores) == MAX_CANDIDATES else 0.0

        mine = found.image == image
        wanted = _Kept(found.boxes_xyxy[mine] / scale, found.labels[mine], found.scores[mine])
        got = _Kept(boxes[image, :num] / scale, labels[image, :num], scores[image, :num])
        rest = bool(boxes[image, num:].any() or scores[image, num:].any() or (labels[image, num:] != NO_LABEL).any())
        if rest or not _is_possible(got):
            return float("inf")
        made_up = got.distances(candidates) * (got.scores > lowest + TOLERANCE)  # (N,)
        worst = max(worst, *made_up.tolist(), _farthest(wanted, got, lowest), _farthest(got, wanted, lowest))
    return worst


def _is_possible(kept: _Kept) -> bool:
    """Return whether boxes come best first and no two of a class overlap too far."""
    is_falling = bool((kept.scores.diff() <= TOLERANCE).all())
    return is_falling and not bool((kept.overlaps(kept).triu(1) > NMS_IOU + TOLERANCE).any())


def _farthest(kept: _Kept, other: _Kept, lowest: float) -> float:
    """Return the largest distance of a box from the nearest in another list, without those that a tie explains.

    Args:
        kept: what is looked up.
        other: where.
        lowest: score of the last candidate.
    """
    is_full = len(other.scores) == MAX_DETECTIONS
    last = max(MIN_SCORE, lowest, float(other.scores[-1]) if is_full else 0.0)
    is_as_good = other.scores >= kept.scores[:, None] - TOLERANCE  # (N, M)
    is_overlapped = ((kept.overlaps(other) > NMS_IOU - TOLERANCE) & is_as_good).any(dim=1)  # (N,)

    distances = kept.distances(other)  # (N,)
    is_tie = (distances > TOLERANCE) & (is_overlapped | (kept.scores <= last + TOLERANCE))
    return float(torch.where(is_tie, 0, distances).max()) if len(distances) else 0.0
