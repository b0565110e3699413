import math

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from proxy_tasks.networks.layers import same_max_pool


def slow_same_max_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME written out: pad with minus infinity, the smaller half first, then pool without padding."""
    pads: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.max_pool2d(F.pad(x, pads, value=-math.inf), kernel, stride)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    shape=st.sampled_from([(3, 2), (5, 2), (5, 4), (5, 8), (5, 16)]),
)
def test_pooling_puts_windows_where_tensorflow_does(height: int, width: int, shape: tuple[int, int]) -> None:
    kernel, stride = shape
    x = torch.arange(height * width, dtype=torch.float32).reshape(1, 1, height, width)
    x = -x if height % 2 else x
    pooled = same_max_pool(x, (kernel, kernel), (stride, stride))
    assert pooled.shape[-2:] == (math.ceil(height / stride), math.ceil(width / stride))
    assert torch.equal(pooled, slow_same_max_pool(x, kernel, stride))


def test_windows_on_even_sizes_start_at_the_first_pixel() -> None:
    x = torch.tensor([[0.0, 9.0, 1.0, 2.0, 0.0, 0.0]]).expand(6, 6)[None, None]
    # Windows of columns 0-2, 2-4, 4-5. With PyTorch's padding=1 the second would be 1-3 and see the 9.
    assert same_max_pool(x, (3, 3), (2, 2))[0, 0, 0].tolist() == [9.0, 2.0, 0.0]
