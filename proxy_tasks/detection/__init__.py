"""The detection proxy task, and the detector's maths: anchors, matching, losses, augmentation, decoding, scoring."""

from proxy_tasks.detection.task import DetectionProxy

__all__ = ["DetectionProxy"]
