"""Decoding: raw predictions turned into boxes with classes and scores."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from proxy_tasks.detection.anchors import decode_boxes
from proxy_tasks.detection.suppression import suppress
from proxy_tasks.networks.retinanet import RawDetections

# tensorflow/tpu configs/spinenet.
MAX_CANDIDATES = 5000
NMS_IOU = 0.5
MIN_SCORE = 0.05
MAX_DETECTIONS = 100


class Detections(NamedTuple):
    """Boxes found in a batch, N in all.

    Attributes:
        image: (N,) index of the image in the batch.
        boxes_xyxy: (N, 4) corners in pixels, inside the image.
        labels: (N,) class index.
        scores: (N,) in [0, 1], falling within an image.
    """

    image: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor

    def on_cpu(self) -> Self:
        """Return them in the processor's memory: one copy in float64, which holds all, as each waits for the device."""
        columns = (self.image[:, None], self.boxes_xyxy, self.labels[:, None], self.scores[:, None])
        table = torch.cat([column.double() for column in columns], dim=1).cpu()  # (N, 7)

        image, boxes, labels, scores = torch.split(table, [1, 4, 1, 1], dim=1)
        return self._replace(
            image=image[:, 0].to(self.image.dtype),
            boxes_xyxy=boxes.to(self.boxes_xyxy.dtype),
            labels=labels[:, 0].to(self.labels.dtype),
            scores=scores[:, 0].to(self.scores.dtype),
        )


def detect(
    raw: RawDetections,
    anchors_xyxy: Tensor,
    sizes_px: Tensor,
    *,
    min_score: float = MIN_SCORE,
    counts_last_pixel: bool = False,
    candidates_per_class: bool = False,
) -> Detections:
    """Keep the best boxes of each image that do not overlap one of their class.

    Boxes are clipped to their image first, so that one which reaches into the padding suppresses as what it covers.

    Args:
        raw: predictions for B images.
        anchors_xyxy: (A, 4) corners in pixels.
        sizes_px: (B, 2) height and width of each image without its padding.
        min_score: boxes are kept whose score is above it.
        counts_last_pixel: see `decode_boxes`.
        candidates_per_class: take the best 5000 pairs of anchor and class of each class of an image before suppression,
            as the reference does; else the best 5000 of each image.

    Source: tensorflow/tpu ops/postprocess_ops.py.
    Differs: the reference clips a pixel before the edge, as its boxes include their last pixel.
    """
    num_classes = raw.class_logits.shape[-1]
    all_scores = raw.class_logits.float().sigmoid()  # (B, A, K)

    choose = _best_of_classes if candidates_per_class else _best_of_images
    image, anchor, labels, scores = choose(all_scores, min_score)  # (N,) each
    codes = raw.box_codes.float()[image, anchor]  # (N, 4)
    boxes = decode_boxes(codes, anchors_xyxy[anchor], counts_last_pixel=counts_last_pixel)  # (N, 4)
    corner = sizes_px.flip(-1).repeat(1, 2)[image]  # (N, 4) the image's lower right corner, twice
    boxes = torch.minimum(boxes.clamp(min=0), corner)  # (N, 4)

    # In double precision: suppression tells images and classes apart by adding to the coordinates.
    keep = suppress(boxes.double(), scores.double(), image * num_classes + labels, NMS_IOU)  # (M,)

    # Best first within each image, then cut each image at its limit.
    keep = keep[_first_of_each(image[keep], MAX_DETECTIONS)]
    return Detections(image[keep], boxes[keep], labels[keep], scores[keep])


def _best_of_images(all_scores: Tensor, min_score: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return image, anchor, class and score of the best pairs of each image, without those that score too low."""
    num_classes = all_scores.shape[-1]
    pairs = all_scores.flatten(1)  # (B, A * K)
    scores, pair = pairs.topk(min(MAX_CANDIDATES, pairs.shape[1]), dim=1)  # (B, candidates)

    image, rank = torch.nonzero(scores > min_score, as_tuple=True)  # (N,) each
    pair = pair[image, rank]  # (N,)
    return image, pair // num_classes, pair % num_classes, scores[image, rank]


def _best_of_classes(all_scores: Tensor, min_score: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the same of the best pairs of each class of each image."""
    image, anchor, labels = torch.nonzero(all_scores > min_score, as_tuple=True)  # (N,) each
    scores = all_scores[image, anchor, labels]  # (N,)

    best_first = torch.argsort(scores, descending=True, stable=True)
    group = image * all_scores.shape[-1] + labels
    kept = best_first[_first_of_each(group[best_first], MAX_CANDIDATES)]
    return image[kept], anchor[kept], labels[kept], scores[kept]


def _first_of_each(groups: Tensor, num: int) -> Tensor:
    """Return the indices of the first `num` members of each group, by group and then in their order.

    Args:
        groups: (N,) the group of each member.
        num: largest number of one group.
    """
    order = torch.argsort(groups, stable=True)  # (N,)
    ordered = groups[order]
    first = torch.searchsorted(ordered, ordered)  # (N,) where the group of each begins
    return order[torch.arange(len(order), device=order.device) - first < num]
