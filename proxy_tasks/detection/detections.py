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
) -> Detections:
    """Keep the best boxes of each image that do not overlap one of their class.

    Boxes are clipped to their image first, so that one which reaches into the padding suppresses as what it covers.

    Args:
        raw: predictions for B images.
        anchors_xyxy: (A, 4) corners in pixels.
        sizes_px: (B, 2) height and width of each image without its padding.
        min_score: boxes are kept whose score is above it.
        counts_last_pixel: see `decode_boxes`.

    Source: tensorflow/tpu ops/postprocess_ops.py.
    Differs: the reference takes 5000 candidates a class before suppression, here they are 5000 an image; and it clips
        a pixel before the edge, as its boxes include their last pixel.
    """
    num_classes = raw.class_logits.shape[-1]
    all_scores = raw.class_logits.float().sigmoid().flatten(1)  # (B, A * K)

    # The best pairs of anchor and class of each image, without those that score too low.
    scores, pair = all_scores.topk(min(MAX_CANDIDATES, all_scores.shape[1]), dim=1)  # (B, candidates)
    image, rank = torch.nonzero(scores > min_score, as_tuple=True)  # (N,) each
    scores, pair = scores[image, rank], pair[image, rank]  # (N,)
    anchor, labels = pair // num_classes, pair % num_classes  # (N,) each

    codes = raw.box_codes.float()[image, anchor]  # (N, 4)
    boxes = decode_boxes(codes, anchors_xyxy[anchor], counts_last_pixel=counts_last_pixel)  # (N, 4)
    corner = sizes_px.flip(-1).repeat(1, 2)[image]  # (N, 4) the image's lower right corner, twice
    boxes = torch.minimum(boxes.clamp(min=0), corner)  # (N, 4)

    # In double precision: suppression tells images and classes apart by adding to the coordinates.
    keep = suppress(boxes.double(), scores.double(), image * num_classes + labels, NMS_IOU)  # (M,)

    # Best first within each image, then cut each image at its limit.
    keep = keep[torch.argsort(image[keep], stable=True)]
    first_of_image = torch.searchsorted(image[keep].contiguous(), image[keep].contiguous())
    keep = keep[torch.arange(len(keep), device=keep.device) - first_of_image < MAX_DETECTIONS]
    return Detections(image[keep], boxes[keep], labels[keep], scores[keep])
