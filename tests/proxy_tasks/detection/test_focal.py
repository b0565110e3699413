import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from proxy_tasks.detection import focal
from proxy_tasks.detection.focal import ALPHA, GAMMA, focal_loss


def draw(seed: int, spread: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(2, 30, 5, generator=generator, dtype=torch.float64) - 2
    labels = torch.randint(-1, 5, (2, 30), generator=generator)
    return logits, labels


def reference(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    targets = (labels[..., None] == torch.arange(logits.shape[-1])).to(logits.dtype)
    loss: torch.Tensor = sigmoid_focal_loss(logits, targets, ALPHA, GAMMA, reduction="sum")
    return loss


@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.1, 3.0, 10.0]))
def test_loss_and_gradient_are_torchvisions(seed: int, spread: float) -> None:
    logits, labels = draw(seed, spread)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, expected = focal_loss(ours, labels), reference(theirs, labels)
    torch.testing.assert_close(loss, expected)
    (loss * 0.7).backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    (expected * 0.7).backward()  # type: ignore[no-untyped-call]  # as above
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_gradient_is_that_of_the_loss() -> None:
    logits, labels = draw(0)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, labels), (logits.requires_grad_(),))


# Relative errors of one rounding: 2^-24 and 2^-9, over sums of 300 terms.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_lower_precision_differs_by_its_rounding(dtype: torch.dtype, tolerance: float) -> None:
    logits, labels = draw(1)
    rounded = logits.to(dtype).requires_grad_()
    loss = focal_loss(rounded, labels)
    assert loss.dtype == torch.float32
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    exact = rounded.detach().double().requires_grad_()
    expected = reference(exact, labels)
    expected.backward()  # type: ignore[no-untyped-call]  # as above
    assert rounded.grad is not None
    assert exact.grad is not None
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (rounded.grad - exact.grad).norm() < tolerance * exact.grad.norm()


def test_what_is_computed_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = draw(2)
    whole = focal_loss(logits, labels)
    monkeypatch.setattr(focal, "_CHUNK_ON_CPU", 7)
    torch.testing.assert_close(focal_loss(logits, labels), whole)


def test_extreme_logits_give_finite_losses_and_slopes() -> None:
    logits = torch.tensor([[[-200.0, -90.0, 0.0, 90.0, 200.0]]]).requires_grad_()
    for label in range(-1, 5):
        (slope,) = torch.autograd.grad(loss := focal_loss(logits, torch.tensor([[label]])), logits)
        assert loss.isfinite()
        assert slope.isfinite().all()


def test_a_logit_that_is_no_number_makes_the_loss_none() -> None:
    assert focal_loss(torch.tensor([[[0.0, float("nan")]]]), torch.tensor([[-1]])).isnan()
