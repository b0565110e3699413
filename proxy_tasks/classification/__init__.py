"""Classification: folders of images by class, crops, loss, top-1 and top-5, a classifier's file, and the proxy task."""

from proxy_tasks.classification.task import ClassificationProxy

__all__ = ["ClassificationProxy"]
