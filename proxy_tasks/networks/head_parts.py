"""The parts of a network's state by its head: where the backbone is, and what depends on the classes."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

TrainedHead: TypeAlias = Literal["retinanet", "mask_rcnn", "classifier"]
OF_CLASSES: Mapping[TrainedHead, tuple[str, ...]] = {
    "retinanet": ("class_tower.predict.",),
    "mask_rcnn": ("roi_heads.box_predictor.", "roi_heads.mask_predictor.3."),
    "classifier": ("predict.",),
}
"""Beginnings of the names of tensors that depend on the number of classes."""
BACKBONE: Mapping[TrainedHead, str] = {
    "retinanet": "backbone.",
    "mask_rcnn": "backbone.backbone.",
    "classifier": "backbone.",
}
"""Beginning of the names of tensors of the backbone, which every head has."""
