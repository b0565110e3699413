"""Suppression by ONNX's own operator, for which engines have code of their own."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from proxy_tasks.detection.detections import MAX_DETECTIONS, MIN_SCORE, NMS_IOU
from proxy_tasks.exporting.kept import Keep, keep_one_by_one
from proxy_tasks.networks.onnx_file import OPSET


@torch.library.custom_op("spinenet_search::keep_boxes", mutates_args=())
def keep_boxes(boxes_xyxy: Tensor, labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    """Return what `keep_one_by_one` does, by an operator that an ONNX file has another one for.

    There the limit of `MAX_DETECTIONS` is one for each class; the first of all classes are among those.
    """
    del num_classes
    return keep_one_by_one(boxes_xyxy, labels, scores)


def keep_by_operator(num_classes: int) -> Keep:
    """Return what keeps boxes by that operator, for detectors of so many classes."""
    return lambda boxes_xyxy, labels, scores: keep_boxes(boxes_xyxy, labels, scores, num_classes)


@keep_boxes.register_fake
def _(boxes_xyxy: Tensor, labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    del boxes_xyxy, labels, num_classes
    return torch.empty_like(scores, dtype=torch.bool)


def suppression_in_onnx() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Return what `torch.onnx` is to write for `keep_boxes`."""
    from onnxscript import opset20

    op: Any = opset20
    if op.version != OPSET:
        raise RuntimeError(f"files are written in opset {OPSET}, the suppression in {op.version}")

    def translated(boxes_xyxy: Any, labels: Any, scores: Any, num_classes: int) -> Any:  # noqa: ANN401  # values of ONNX
        # ONNX's operator wants the scores of each class: of a class that is not a box's own it has none.
        classes = op.Constant(value_ints=list(range(num_classes)))  # (K,)
        is_of_class = op.Equal(_unsqueezed(labels, 1), _unsqueezed(classes, 0, 2))  # (B, K, N)
        zero = op.Constant(value_float=0.0)
        class_scores = op.Where(is_of_class, _unsqueezed(scores, 1), zero)  # (B, K, N)

        selected = op.NonMaxSuppression(
            boxes_xyxy,
            class_scores,
            op.Constant(value_ints=[MAX_DETECTIONS]),
            op.Constant(value_floats=[NMS_IOU]),
            op.Constant(value_floats=[MIN_SCORE]),
        )  # (M, 3), image, class and box

        # As many as there are: a mark for each leaves tensors of fixed shapes.
        image_and_box = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)  # (M, 2)
        num = op.Gather(op.Shape(selected), op.Constant(value_ints=[0]))  # (1,)
        marks = op.Expand(op.Constant(value_float=1.0), num)  # (M,)
        return op.Cast(op.ScatterND(op.Mul(scores, zero), image_and_box, marks), to=9)  # (B, N)

    def _unsqueezed(value: Any, *axes: int) -> Any:  # noqa: ANN401  # as above
        return op.Unsqueeze(value, op.Constant(value_ints=list(axes)))

    return {torch.ops.spinenet_search.keep_boxes.default: translated}
