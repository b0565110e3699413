"""The formats of exported files, and the endings of their names."""

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["json", "onnx", "pt2", "python"]
"""A spec file, or the network itself: ONNX, a program of `torch.export`, or one file of source code."""

SUFFIXES: dict[Format, str] = {"json": ".json", "onnx": ".onnx", "pt2": ".pt2", "python": ".py"}
