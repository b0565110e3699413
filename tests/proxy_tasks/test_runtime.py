import os
import subprocess
import sys

import pytest
import torch

from proxy_tasks.device_options import Precision
from proxy_tasks.runtime import has_fast_bf16, numerics_on, uses_bf16


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", False), ("bfloat16", True), ("auto", has_fast_bf16("cpu"))]
)
def test_auto_is_the_fast_number_format(precision: Precision, expected: bool) -> None:
    assert uses_bf16(precision, "cpu") == expected


def test_numerics_name_the_format_the_instructions_and_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = numerics_on("cpu", "float32")
        torch.set_num_threads(1)
        one = numerics_on("cpu", "float32")
    finally:
        torch.set_num_threads(before)
    instructions = torch.backends.cpu.get_cpu_capability()
    assert str(two) == f"float32 on cpu {instructions}, 2 threads"
    assert str(one) == f"float32 on cpu {instructions}, 1 thread"
    assert numerics_on("cpu", "auto").precision == ("bfloat16" if has_fast_bf16("cpu") else "float32")


@pytest.mark.long
def test_instructions_that_torch_does_not_use_are_not_named() -> None:
    code = "from proxy_tasks.runtime import numerics_on; print(numerics_on('cpu', 'float32'))"
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("float32 on cpu DEFAULT", "float32 on cpu NO AVX"))
