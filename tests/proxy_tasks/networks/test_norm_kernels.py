"""The kernels on a GPU where there is one, and by Triton's interpreter where there is none; see tests/conftest.py."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_tasks.networks.layers import same_max_pool

pytest.importorskip("triton")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {0: lambda z: z, 1: F.relu, 2: F.silu}
CLOSE = 3e-6
EPSILON = 1e-3


@pytest.fixture(scope="module")
def kernels() -> SimpleNamespace:
    # Their modules import Triton, which is not everywhere.
    from proxy_tasks.networks import norm_gradient_kernels, norm_kernels, pool_kernels

    modules = (norm_kernels, norm_gradient_kernels, pool_kernels)
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


def feature(*shape: int, around: float = 0.0) -> Tensor:
    return (torch.randn(shape) + around).to(DEVICE).to(memory_format=torch.channels_last)


def difference(found: Tensor, expected: Tensor | None) -> float:
    assert expected is not None
    return float((found.double() - expected.detach()).norm() / expected.detach().norm())


@pytest.mark.parametrize(
    ("shape", "activation", "adds"),
    [
        ((2, 4, 9, 8), 0, False),
        # More columns than a tile has, and more rows.
        ((2, 130, 7, 9), 1, False),
        ((2, 12, 25, 25), 1, True),
        ((1, 64, 12, 12), 2, False),
    ],
)
def test_normalisation_is_that_of_double_precision(
    kernels: SimpleNamespace, shape: tuple[int, ...], activation: int, adds: bool
) -> None:
    torch.manual_seed(0)
    channels = shape[1]
    # Far from zero, where squares would leave no digit for the deviation.
    x, upstream = feature(*shape, around=30.0), feature(*shape)
    plus = feature(*shape) if adds else None
    weight, bias, shift = (torch.rand(channels, device=DEVICE) for _ in range(3))
    mean, variance = torch.zeros(channels, device=DEVICE), torch.ones(channels, device=DEVICE)
    count = torch.tensor(0, device=DEVICE)

    exact_x, exact_weight, exact_bias = (t.double().requires_grad_() for t in (x, weight, bias))
    exact_plus = None if plus is None else plus.double().requires_grad_()
    exact_mean, exact_variance = mean.double(), variance.double()
    z = F.batch_norm(exact_x, exact_mean, exact_variance, exact_weight, exact_bias, True, 0.01, EPSILON)
    expected = ACTIVATIONS[activation](z if exact_plus is None else z + exact_plus)
    expected.backward(upstream.double())  # type: ignore[no-untyped-call]  # torch leaves it so

    of_batch = kernels.statistics(x, mean, variance, count, 0.01, EPSILON, shift)
    out = kernels.apply(x, plus, of_batch, weight, bias, activation)
    decides = out if adds else None
    sums = kernels.gradient_sums(upstream, x, decides, of_batch, weight, bias, activation)
    of_x, of_plus = kernels.apply_gradient(upstream, x, decides, of_batch, sums, weight, bias, activation)

    assert difference(out, expected) < CLOSE
    assert difference(of_x, exact_x.grad) < 2e-5
    assert difference(sums[0], exact_weight.grad) < 2e-5
    assert difference(sums[1], exact_bias.grad) < CLOSE
    assert difference(mean, exact_mean + 0.01 * shift.double()) < CLOSE
    assert difference(variance, exact_variance) < CLOSE
    assert count.item() == 1
    if exact_plus is not None:
        assert difference(of_plus, exact_plus.grad) < CLOSE


@pytest.mark.parametrize(("shape", "activation"), [((2, 12, 10, 6), 1), ((1, 64, 8, 12), 2)])
def test_normalisation_with_a_pool_is_that_of_double_precision(
    kernels: SimpleNamespace, shape: tuple[int, ...], activation: int
) -> None:
    torch.manual_seed(0)
    channels = shape[1]
    x, upstream = feature(*shape), feature(shape[0], channels, shape[2] // 2, shape[3] // 2)
    weight, bias = torch.rand(channels, device=DEVICE), torch.randn(channels, device=DEVICE)
    mean, variance = torch.zeros(channels, device=DEVICE), torch.ones(channels, device=DEVICE)

    exact_x, exact_weight, exact_bias = (t.double().requires_grad_() for t in (x, weight, bias))
    z = F.batch_norm(exact_x, None, None, exact_weight, exact_bias, True, 0.01, EPSILON)
    expected = same_max_pool(ACTIVATIONS[activation](z), (3, 3), (2, 2))
    expected.backward(upstream.double())  # type: ignore[no-untyped-call]  # torch leaves it so

    of_batch = kernels.statistics(x, mean, variance, torch.tensor(0, device=DEVICE), 0.01, EPSILON, None)
    out, chosen, winner = kernels.apply_and_pool(x, of_batch, weight, bias, activation)
    sums = kernels.gradient_sums(upstream, chosen, None, of_batch, weight, bias, activation)
    of_x = kernels.apply_gradient_before_pool(upstream, x, winner, of_batch, sums, weight, bias, activation)

    assert difference(out, expected) < CLOSE
    assert difference(of_x, exact_x.grad) < CLOSE
    assert difference(sums[0], exact_weight.grad) < CLOSE
    assert difference(sums[1], exact_bias.grad) < CLOSE


@pytest.mark.parametrize("kernel_size", [3, 7])
def test_a_folded_image_is_convolved_as_the_image_is(kernel_size: int) -> None:
    from proxy_tasks.networks.fused_stem import folded_kernel
    from proxy_tasks.networks.stem_kernels import fold_pixels

    torch.manual_seed(0)
    images, weight = feature(2, 3, 16, 12), torch.randn(5, 3, kernel_size, kernel_size, device=DEVICE)
    num_taps = (kernel_size + 1) // 2
    num_before = num_taps // 2
    folded = fold_pixels(images, num_before, num_taps - 1 - num_before, torch.float32)

    # In double precision, which no device computes with fewer digits.
    found = F.conv2d(folded.double(), folded_kernel(weight.double(), num_taps))
    torch.testing.assert_close(found, F.conv2d(images.double(), weight.double(), stride=2, padding=kernel_size // 2))
