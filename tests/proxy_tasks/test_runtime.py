import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation import InputError
from proxy_tasks.coco.read_ahead import read_ahead, to_device
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.device_options import Precision
from proxy_tasks.runtime import (
    gpu_memory,
    has_fast_bf16,
    numerics_on,
    numerics_on_gpu,
    pick_device,
    set_up_training,
    start_device,
    uses_bf16,
)
from search_space import ModelScale


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", False), ("bfloat16", True), ("auto", has_fast_bf16("cpu"))]
)
def test_auto_is_the_fast_number_format(precision: Precision, expected: bool) -> None:
    assert uses_bf16(precision, "cpu") == expected


def test_numerics_name_the_format_the_instructions_and_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = numerics_on("cpu", "float32")
        torch.set_num_threads(1)
        one = numerics_on("cpu", "float32")
    finally:
        torch.set_num_threads(before)
    instructions = torch.backends.cpu.get_cpu_capability()
    assert str(two) == f"float32 on cpu {instructions}, 2 threads"
    assert str(one) == f"float32 on cpu {instructions}, 1 thread"
    assert numerics_on("cpu", "auto").precision == ("bfloat16" if has_fast_bf16("cpu") else "float32")


@pytest.mark.long
def test_instructions_that_torch_does_not_use_are_not_named() -> None:
    code = "from proxy_tasks.runtime import numerics_on; print(numerics_on('cpu', 'float32'))"
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("float32 on cpu DEFAULT", "float32 on cpu NO AVX"))


SET_UP = """
import torch
from proxy_tasks.runtime import numerics_on_gpu, set_up_training
set_up_training(torch.device("cuda"))
print(torch._C._accelerator_getAllocatorSettings(), end="; ")
print(f"TF32 in products: {torch.backends.cuda.matmul.allow_tf32}")
print(numerics_on_gpu("float32", "GPU"), numerics_on_gpu("bfloat16", "GPU"), sep="; ")
"""


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [({}, "expandable_segments:True"), ({"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, "max_split_size_mb:64")],
)
def test_training_sets_its_process_up_for_a_gpu_and_results_name_what_changes_them(
    set_by_user: dict[str, str], expected: str
) -> None:
    # In a process of its own, as memory is managed in one way from its first use on; none of this needs a GPU.
    done = subprocess.run(
        [sys.executable, "-c", SET_UP], env=os.environ | set_by_user, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"{expected}; TF32 in products: True",
        "float32 (TF32) on GPU; bfloat16 on GPU",
    ]


def test_training_on_a_processor_leaves_settings_of_gpus_alone() -> None:
    set_up_training(torch.device("cpu"))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert str(numerics_on_gpu("bfloat16", "GPU")) == "bfloat16 on GPU"


@pytest.mark.gpu
def test_pinned_memory_is_not_allocated_again_for_each_batch_and_never_overwritten_under_way() -> None:
    device = torch.device("cuda")
    values = torch.arange(64, dtype=torch.uint8)

    def numbered(rows: NDArray[np.int64]) -> tuple[Tensor]:
        # Large enough for a copy to take longer than the making of the next batch.
        return (to_device(np.full((64, 512, 512, 3), rows[0], np.uint8), device),)

    steps = [np.array([step]) for step in range(64)]
    batches = read_ahead(numbered, steps, device)
    first = [next(batches)[0] for _ in range(8)]
    num_allocated = torch.cuda.host_memory_stats()["num_host_alloc"]
    rest = [batch[0][:, ::64, ::64] for batch in batches]

    assert torch.cuda.host_memory_stats()["num_host_alloc"] == num_allocated
    for value, batch in zip(values, [*first, *rest], strict=True):
        assert (batch == value.item()).all()


def test_loading_looks_for_the_device_so_that_no_trial_finds_it_missing() -> None:
    DetectionProxy(Shapes(Path("x")), ModelScale(), device="cpu").load()
    with pytest.raises(InputError, match=r"device cuda:99: torch finds \d+ GPUs on this machine"):
        DetectionProxy(Shapes(Path("x")), ModelScale(), device="cuda:99").load()


def test_auto_is_not_the_processor_where_a_gpu_that_was_given_has_vanished(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.version.cuda is None or torch.cuda.is_available():
        pytest.skip("needs a torch that could use GPUs, and none")
    for nothing in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert pick_device("auto").type == "cpu"

    # As Ray sets it in a worker that has a GPU.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="was given the GPU CUDA_VISIBLE_DEVICES=3, and torch finds none"):
        pick_device("auto")


@pytest.mark.gpu
def test_a_gpu_in_use_is_named_with_its_memory() -> None:
    start_device(torch.device("cuda"))
    memory = gpu_memory()
    assert memory is not None
    assert memory[0] == torch.cuda.get_device_name()
    assert 0 < memory[1] < memory[2]


def test_a_process_that_uses_no_gpu_has_none_to_name() -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    assert gpu_memory() is None


@pytest.mark.gpu
def test_loading_starts_the_gpu_so_that_one_that_hangs_does_so_within_the_limit_of_a_start() -> None:
    code = (
        "import torch; from pathlib import Path; from proxy_tasks.coco.shapes import Shapes\n"
        "from proxy_tasks.detection.task import DetectionProxy; from search_space import ModelScale\n"
        "DetectionProxy(Shapes(Path('x')), ModelScale(), device='cuda').load(); print(torch.cuda.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
