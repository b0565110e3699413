import re

import pytest
import torch

from foundation import InputError
from proxy_tasks.base import NonFiniteLossError
from proxy_tasks.full_training.failures import failures_in_one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NonFiniteLossError("step 3"), "the training diverged: step 3; a lower protocol.learning_rate or a longer"),
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (
            torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might"),
            "the GPU is lost (CUDA error: an illegal memory access was encountered); the same command resumes from",
        ),
    ],
)
def test_what_ends_a_full_training_is_one_line_with_what_to_do(error: Exception, line: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(line)}"), failures_in_one_line(torch.device("cpu")):
        raise error


def test_a_bug_in_a_full_training_stays_what_it_is() -> None:
    bug = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError) as raised, failures_in_one_line(torch.device("cpu")):
        raise bug
    assert raised.value is bug
