"""Images a second of full training on one process and on two, and the share of the time that goes into messages.

python -m benchmarks.training_speed [steps] [processes ...]

SpineNet-49 at a quarter of the width in the steps that `nas.train` takes, on images of noise; each process takes 8 of
them a step, so the batch grows with the processes. A process has a GPU of its own where there are enough (messages go
by NCCL), else a core (by gloo). Every number of processes is timed twice: as training runs, which gives the speed, and
waiting for the device before and after each message, which gives the share of each kind of message. The latter counts
waiting for the slower process, and is an upper bound: a GPU need not wait at each message.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from benchmarks.generated_coco import NUM_CLASSES
from benchmarks.training import BATCH_SIZE, RECIPE, SCALE, SIZE_PX, SPEC, make_batch
from nas.training.launch import free_port
from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.originals import Originals
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.losses import MatchedBatch
from proxy_tasks.full_training.joining import Place, device_of, joined
from proxy_tasks.full_training.synced_norm import synchronise
from proxy_tasks.networks.latency import device_name
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.runtime import has_fast_bf16, keep_freed_memory, pick_device, wait_for
from proxy_tasks.training.processes import Processes
from proxy_tasks.training.training_steps import TrainingSteps

NUM_WARM_UP = 3
MESSAGES = ("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_single", "_all_gather_base")
"""Functions of torch.distributed that a step sends messages by, ours and those of torch's own normalisation."""
NUMBERS_OF_GRADIENTS = 10_000
"""Messages of more numbers are gradients; those of normalisation have a few for each channel."""


@contextmanager
def timed_messages(device: torch.device, seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of messages by their kind until the block ends."""

    def timed(send: Callable[..., Any]) -> Callable[..., Any]:
        def send_timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever torch takes and returns
            wait_for(device)
            started_s = time.perf_counter()
            sent = send(*arguments, **options)
            wait_for(device)

            tensors = [argument for argument in arguments if isinstance(argument, torch.Tensor)]
            is_large = max(tensor.numel() for tensor in tensors) > NUMBERS_OF_GRADIENTS
            seconds["gradients" if is_large else "normalisation"] += time.perf_counter() - started_s
            return sent

        return send_timed

    plain = {name: getattr(dist, name) for name in MESSAGES if hasattr(dist, name)}
    for name, send in plain.items():
        setattr(dist, name, timed(send))
    try:
        yield
    finally:
        for name, send in plain.items():
            setattr(dist, name, send)


def make_steps(
    processes: Processes, device: torch.device, num_steps: int
) -> TrainingSteps[Batch | Originals, MatchedBatch]:
    torch.manual_seed(0)
    network: nn.Module = build_detector(SPEC, SCALE, NUM_CLASSES)
    levels = network.output_levels
    if processes.count > 1:
        network = synchronise(network, device)
    network = network.to(device).to(memory_format=torch.channels_last)
    anchors = make_anchors(levels, SIZE_PX, SCALE.anchor_scale, device)  # type: ignore[arg-type]  # of RetinaNet
    objective = BoxObjective(anchors, RECIPE, bf16=has_fast_bf16(device.type))
    return TrainingSteps(network, objective, RECIPE, num_steps, seed=0, processes=processes, is_resumable=True)


def time_steps(place: Place | None, num_steps: int) -> tuple[float, dict[str, float]]:
    """Return the median seconds of a step, and the share of the time of each kind of message."""
    keep_freed_memory()
    torch.set_num_threads(1)
    gpus = pick_device("auto").type == "cuda" and torch.cuda.device_count() >= (1 if place is None else place.count)
    device = torch.device(device_of("auto" if gpus else "cpu", place))
    with joined(place, str(device)) as processes:
        steps = make_steps(processes, device, 2 * (NUM_WARM_UP + num_steps))
        batch = make_batch(device)

        def take() -> float:
            started_s = time.perf_counter()
            num_images = BATCH_SIZE * processes.count
            steps.take([batch], num_images=num_images, first=BATCH_SIZE * processes.rank)
            wait_for(device)
            return time.perf_counter() - started_s

        for _ in range(NUM_WARM_UP):
            take()
        seconds = [take() for _ in range(num_steps)]

        in_messages = {"gradients": 0.0, "normalisation": 0.0}
        with timed_messages(device, in_messages):
            whole_s = sum(take() for _ in range(num_steps))
    return statistics.median(seconds), {kind: spent / whole_s for kind, spent in in_messages.items()}


def serve(rank: int, count: int, port: int, num_steps: int, results: Any) -> None:  # noqa: ANN401  # torch's queue
    """Time steps in one of several processes; the first one tells the result."""
    result = time_steps(Place(rank, count, rank, f"127.0.0.1:{port}"), num_steps)
    if rank == 0:
        results.put(result)


def time_processes(count: int, num_steps: int) -> tuple[float, dict[str, float]]:
    """Return what `time_steps` does, of several processes in their first."""
    context = get_context("spawn")
    results = context.Queue()
    port = free_port()
    processes = [
        context.Process(target=serve, args=(rank, count, port, num_steps, results), daemon=True)
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    result: tuple[float, dict[str, float]] = results.get()
    for process in processes:
        process.join()
    return result


def main() -> None:
    num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    counts = [int(word) for word in sys.argv[2:]] or [1, 2]
    print(f"PyTorch {torch.__version__}, {device_name(pick_device('auto'))}, one thread a process on a processor")
    print(f"SpineNet-49, width {SCALE.width_multiplier}, {SIZE_PX} px, {BATCH_SIZE} images a process and step")
    print(f"{'processes':>9} {'ms a step':>10} {'images/s':>9} {'of one':>7} {'gradients':>10} {'normalisation':>14}")

    alone: float | None = None
    for count in counts:
        step_s, shares = time_steps(None, num_steps) if count == 1 else time_processes(count, num_steps)
        images_per_s = BATCH_SIZE * count / step_s
        alone = images_per_s if count == 1 else alone
        times = "" if alone is None else f"{images_per_s / alone:.2f}"
        print(
            f"{count:>9} {1000 * step_s:>10.0f} {images_per_s:>9.1f} {times:>7} {shares['gradients']:>10.1%} "
            f"{shares['normalisation']:>14.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
