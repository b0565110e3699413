import pytest
import torch

from proxy_tasks import NonFiniteLossError
from proxy_tasks.training.finite_watch import LOOK_EVERY, FiniteWatch
from tests.proxy_tasks.conftest import WatchWaits

FINE = torch.tensor(1.0)
CPU = torch.device("cpu")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("which", ["loss", "gradient"])
def test_the_step_that_was_not_finite_is_named_at_the_next_look(value: str, which: str) -> None:
    watch = FiniteWatch(100, CPU)
    bad = torch.tensor(float(value))
    for step in range(LOOK_EVERY):
        is_bad = step == 7
        watch.note(step, bad if is_bad and which == "loss" else FINE, bad if is_bad and which == "gradient" else FINE)
    with pytest.raises(NonFiniteLossError, match=r"^the loss or its gradient was not finite at step 7 of 100$"):
        watch.note(LOOK_EVERY, FINE, FINE)


def test_the_first_of_several_steps_is_named() -> None:
    watch = FiniteWatch(4, CPU)
    for step, loss in enumerate((1.0, float("inf"), 1.0, float("nan"))):
        watch.note(step, torch.tensor(loss), FINE)
    with pytest.raises(NonFiniteLossError, match="at step 1 of 4"):
        watch.finish()


def test_the_last_step_counts_as_well() -> None:
    watch = FiniteWatch(3, CPU)
    for step in range(2):
        watch.note(step, FINE, FINE)
    watch.note(2, torch.tensor(float("nan")), FINE)
    with pytest.raises(NonFiniteLossError, match="at step 2 of 3"):
        watch.finish()


def test_a_training_that_stays_finite_is_left_alone() -> None:
    watch = FiniteWatch(2 * LOOK_EVERY, CPU)
    for step in range(2 * LOOK_EVERY):
        watch.note(step, FINE, FINE)
    watch.finish()


def test_a_watch_without_steps_finds_nothing() -> None:
    FiniteWatch(1, CPU).finish()


@pytest.mark.gpu
def test_watching_never_waits_for_the_gpu(watch_waits: WatchWaits) -> None:
    device = torch.device("cuda")
    watch = FiniteWatch(2 * LOOK_EVERY, device)
    loss = torch.tensor(1.0, device=device)
    watch.note(0, loss, loss)
    watch_waits("error")
    for step in range(1, 2 * LOOK_EVERY):
        watch.note(step, loss, loss)
    watch_waits("default")
    watch.finish()
