import pytest

from proxy_tasks.device_options import Precision
from proxy_tasks.runtime import has_fast_bf16, uses_bf16


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", False), ("bfloat16", True), ("auto", has_fast_bf16("cpu"))]
)
def test_auto_is_the_fast_number_format(precision: Precision, expected: bool) -> None:
    assert uses_bf16(precision, "cpu") == expected
