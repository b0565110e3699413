"""The formats that a network is exported in, and what can be chosen of its file."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

NetworkFormat: TypeAlias = Literal["onnx", "pt2", "python"]
"""ONNX, a program of `torch.export`, or one file of source code."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The choices that the files of a network leave.

    Attributes:
        dynamic_batch: whether a file takes any number of images, else one.
        compiled: whether a program is machine code for this processor.
    """

    dynamic_batch: bool = True
    compiled: bool = False
