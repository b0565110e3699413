"""The finite-loss watch: it ends a training that diverges, and never makes a training step wait."""

import torch
from torch import Tensor

from proxy_tasks.base import NonFiniteLossError

LOOK_EVERY = 20
"""Steps between two looks at what has arrived from the device."""


class FiniteWatch:
    """Remembers the first step whose loss or gradient was not finite, and raises when it learns of it.

    To ask a GPU whether a number is finite is to wait until it has computed everything before that number, while the
    next step could have been launched. So the answer stays on the device as one integer: the first bad step, or -1.
    Every `LOOK_EVERY` steps it is copied to the host without waiting, and what the host then holds is read at once: on
    a GPU that is most often an earlier copy. A divergence is thus noticed some steps late, but the step that is named
    is the right one. `finish` waits for the last answer.

    Args:
        num_steps: length of the training, for the message.
        device: the network's device.
    """

    def __init__(self, num_steps: int, device: torch.device) -> None:
        self._num_steps = num_steps
        self._first_bad = torch.full((), -1, device=device)
        # A copy from a GPU waits unless it goes to pinned memory.
        self._arrived = torch.full((), -1, pin_memory=device.type == "cuda")

    def note(self, step: int, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take in the loss and the norm of the gradient of a step, both scalars on the device.

        Raises:
            NonFiniteLossError: one of an earlier step, or of this one, was not finite.
        """
        is_bad = ~(loss.isfinite() & gradient_norm.isfinite())
        self._first_bad = torch.where((self._first_bad < 0) & is_bad, step, self._first_bad)

        if step % LOOK_EVERY == 0:
            self._arrived.copy_(self._first_bad, non_blocking=True)
            self._check(int(self._arrived))

    def finish(self) -> None:
        """Wait for the device and look at all steps.

        Raises:
            NonFiniteLossError: the loss or gradient of one was not finite.
        """
        self._check(int(self._first_bad))

    def _check(self, first_bad: int) -> None:
        if first_bad >= 0:
            raise NonFiniteLossError(
                f"the loss or its gradient was not finite at step {first_bad} of {self._num_steps}"
            )
