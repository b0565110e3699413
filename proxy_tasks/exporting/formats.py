"""The formats that a network is exported in."""

from typing import Literal, TypeAlias

NetworkFormat: TypeAlias = Literal["onnx", "pt2", "python"]
"""ONNX, a program of `torch.export`, or one file of source code."""
