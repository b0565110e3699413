"""The heads by name, made from a plan."""

from typing import Any, assert_never

from proxy_tasks.full_training.classifier_head import ClassifierHead
from proxy_tasks.full_training.head import Head
from proxy_tasks.full_training.mask_rcnn_head import MaskRCNNHead
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.retinanet_head import RetinaNetHead


def open_head(plan: TrainingPlan) -> Head[Any, Any, Any]:
    """Open the data of a plan, and return its head.

    Raises:
        InputError: the data cannot be used, or the weights to start from cannot be read.
    """
    match plan.head:
        case "retinanet":
            return RetinaNetHead(plan)
        case "mask_rcnn":
            return MaskRCNNHead(plan)
        case "classifier":
            return ClassifierHead(plan)
        case _:
            assert_never(plan.head)
