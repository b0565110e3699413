"""The place of a process among others, as torchrun and Slurm tell it."""

import re
import socket
from datetime import timedelta

import pytest

from foundation import InputError
from proxy_tasks.full_training.joining import Place, device_of, first_host, joined, place_of

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
# As srun sets it: https://slurm.schedmd.com/srun.html.
SLURM = {
    "SLURM_PROCID": "9",
    "SLURM_NTASKS": "16",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "node[03-04,7],other",
    "SLURM_JOB_ID": "123456",
}


def test_a_process_knows_its_place_from_torchrun_or_slurm() -> None:
    assert place_of({}) is None
    assert place_of({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None
    assert place_of(TORCHRUN) == Place(5, 8, 1, "a:29500")
    assert place_of(SLURM) == Place(9, 16, 1, "node03:23456")
    assert [first_host(nodes) for nodes in ("a", "a,b", "n-[1-3]")] == ["a", "a", "n-1"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "says that several processes train, but not MASTER_ADDR"),
        (TORCHRUN | {"RANK": "x"}, "has no usable place of this process: invalid literal"),
    ],
)
def test_a_place_that_is_told_in_part_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        place_of(environment)


def test_a_process_on_a_processor_has_the_device_that_all_have() -> None:
    assert device_of("cpu", Place(1, 2, 1, "a:1")) == "cpu"


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        (0, "of the others 2 have not come within 0:00:00.500000, process 1 among them"),
        # Nobody is at the address, as the first process has not come.
        (1, ""),
    ],
)
def test_a_process_waits_for_others_that_never_come_for_a_bounded_time(rank: int, message: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    said = f"process {rank} of 3 cannot join the others at {address}: {message}"
    with (
        pytest.raises(InputError, match=re.escape(said)),
        joined(Place(rank, 3, 0, address), "cpu", timedelta(seconds=0.5)),
    ):
        pass
