"""Instance segmentation: boxes with masks, their augmentation, training, detection and scoring, and the proxy task."""

from proxy_tasks.segmentation.task import SegmentationProxy

__all__ = ["SegmentationProxy"]
