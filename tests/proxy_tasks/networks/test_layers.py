import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from proxy_tasks.networks.layers import ConvNorm, LayerStyle, joined, same_max_pool, separated
from proxy_tasks.networks.named_networks import build_network
from search_space import ModelScale


def slow_same_max_pool(x: Tensor, kernels: tuple[int, int], strides: tuple[int, int]) -> Tensor:
    """TensorFlow's SAME written out: pad with minus infinity, the smaller half first, then pool without padding."""
    pads: list[int] = []
    for size, kernel, stride in reversed(list(zip(x.shape[-2:], kernels, strides, strict=True))):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.max_pool2d(F.pad(x, pads, value=-math.inf), kernels, strides)


# Kernel and stride of a pool along one axis: those of every difference of levels, and none at all.
SHAPES = st.sampled_from([(1, 1), (3, 2), (5, 2), (5, 4), (5, 8), (5, 16), (5, 32)])


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    rows=SHAPES,
    columns=SHAPES,
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_pooling_puts_windows_where_tensorflow_does(
    height: int, width: int, rows: tuple[int, int], columns: tuple[int, int], dtype: torch.dtype
) -> None:
    x = torch.arange(height * width, dtype=dtype).reshape(1, 1, height, width)
    x = -x if height % 2 else x
    kernels, strides = (rows[0], columns[0]), (rows[1], columns[1])
    pooled = same_max_pool(x, kernels, strides)
    assert pooled.shape[-2:] == (math.ceil(height / rows[1]), math.ceil(width / columns[1]))
    assert torch.equal(pooled, slow_same_max_pool(x, kernels, strides))


def test_windows_on_even_sizes_start_at_the_first_pixel() -> None:
    x = torch.tensor([[0.0, 9.0, 1.0, 2.0, 0.0, 0.0]]).expand(6, 6)[None, None]
    # Windows of columns 0-2, 2-4, 4-5. With PyTorch's padding=1 the second would be 1-3 and see the 9.
    assert same_max_pool(x, (3, 3), (2, 2))[0, 0, 0].tolist() == [9.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("spinenet-49", "retinanet"),
        ("spinenet-49", "mask_rcnn"),
        ("spinenet-mobile-49", "classifier"),
        ("r50-fpn", "none"),
    ],
)
def test_every_normalisation_has_the_momentum_and_epsilon_of_the_reference(name: str, head: str) -> None:
    # tensorflow/models and the paper's Mask R-CNN: momentum 0.99, which is 0.01 in PyTorch's words, and epsilon 1e-3.
    scale = ModelScale(width_multiplier=0.25, endpoint_width=8, num_head_convs=1, head_width=8)
    network = build_network(name, scale, head=head)  # type: ignore[arg-type]  # one of the four
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}


def test_one_step_moves_the_statistics_by_a_hundredth() -> None:
    layer = ConvNorm(2, 3, 1, LayerStyle("relu"), activate=False).train()
    x = torch.randn(4, 2, 5, 5)
    mean = layer[0](x).mean((0, 2, 3))
    layer(x)
    norm = layer[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, mean / 100, atol=1e-7)


@pytest.mark.parametrize("is_training", [True, False])
def test_a_joined_layer_computes_and_learns_what_its_layers_do(is_training: bool) -> None:
    torch.manual_seed(0)
    layers = [ConvNorm(6, 3, 1, LayerStyle("relu")) for _ in range(4)]
    whole = joined(layers).double().train(is_training)
    apart = [layer.double().train(is_training) for layer in layers]
    x, upstream = torch.randn(2, 6, 5, 5, dtype=torch.float64), torch.randn(2, 12, 5, 5, dtype=torch.float64)

    found, expected = whole(x), torch.cat([layer(x) for layer in apart], dim=1)
    # Rounding in float64 only.
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)
    for layer, part in zip(apart, separated(whole, 4), strict=True):
        for (name, alone), joint in zip(layer.state_dict().items(), part.state_dict().values(), strict=True):
            assert torch.allclose(alone, joint, rtol=1e-10), name

    names = [name for name, _ in whole.named_parameters()]
    own = torch.autograd.grad((found * upstream).sum(), [whole.get_parameter(name) for name in names])
    for name, gradient in zip(names, own, strict=True):
        total = (expected * upstream).sum()
        parts = torch.autograd.grad(total, [layer.get_parameter(name) for layer in apart], retain_graph=True)
        assert torch.allclose(gradient, torch.cat(parts), rtol=1e-10, atol=1e-10), name


def test_layers_that_somebody_has_put_behind_a_normalisation_run() -> None:
    layer = ConvNorm(3, 4, 1, LayerStyle("relu"))
    layer[2] = nn.Hardtanh(-0.1, 0.1)
    layer.append(nn.AvgPool2d(2))
    out = layer(torch.randn(2, 3, 8, 8))
    assert out.shape == (2, 4, 4, 4)
    assert 0 < float(out.detach().abs().max()) < 0.101
