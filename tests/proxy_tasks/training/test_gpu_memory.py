import pytest
import torch

from proxy_tasks.training.gpu_memory import lack_line, peak_named

GIB = 2**30


def test_a_lack_of_memory_names_the_peak_what_others_have_and_what_to_lower() -> None:
    line = lack_line("GPU", peak=60 * GIB, others=3 * GIB, total=80 * GIB, asked="20.00 GiB", to_lower="batch_size")
    assert line == (
        "out of memory on GPU: the training took up to 60.00 GiB and asked for 20.00 GiB more, 3.00 of 80.00 GiB are "
        "not its own; lower batch_size"
    )


def test_on_a_processor_an_error_stays_as_it_is() -> None:
    error = torch.OutOfMemoryError("too much")
    with pytest.raises(torch.OutOfMemoryError) as raised, peak_named(torch.device("cpu"), "batch_size"):
        raise error
    assert raised.value is error


@pytest.mark.gpu
def test_a_gpu_that_runs_out_of_memory_says_how_much_was_taken() -> None:
    device = torch.device("cuda")

    def takes_too_much() -> None:
        with peak_named(device, "batch_size"):
            kept = torch.empty(2 * GIB, dtype=torch.uint8, device=device)
            torch.empty(2**44, dtype=torch.uint8, device=device)
            del kept

    expected = r"out of memory on .+: the training took up to 2\.0\d GiB and asked for .+ more, .+; lower batch_size"
    with pytest.raises(torch.OutOfMemoryError, match=expected):
        takes_too_much()
