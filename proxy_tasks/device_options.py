"""The options of a device, its name and its number format, in words that are checked without torch."""

from typing import Literal, TypeAlias

DEVICE_NAMES = r"auto|cpu|cuda(:\d+)?"
"""The names that a device may have."""
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""The number format of convolutions; `auto` is bfloat16 where the device computes it fast."""
