"""Processor time of a training step of the tiny network, beside that of another version of this project.

python -m benchmarks.small_step [folder of the other version [image size [batch size [rounds]]]]

Both versions run the proxy task's own loop on R0-SP53 at scale=tiny, in float32 on one thread, each in a process of its
own and in turns whose order is swapped each time. Processor time counts, so that other work on the machine matters
little. Prints the median of all steps of each version, and median and quartiles of the ratios of turns. Without a
folder this version is compared with itself, which shows the noise.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.runtime import keep_freed_memory
from proxy_tasks.training.loop import train
from proxy_tasks.training.recipe import Recipe
from search_space import ModelScale

NUM_CLASSES = 3
OUTPUT_LEVELS = (3, 4, 5, 6, 7)
STEPS_A_TURN = 6
NUM_UNCOUNTED = 2
"""First steps of a turn: the other version has just had the caches."""
_WORKER = "worker"


def make_batch(size_px: int, batch_size: int) -> Batch:
    """Return images of noise with up to seven boxes each."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(batch_size), rng.integers(1, 8, batch_size))  # (N,)
    corners = rng.uniform(0, 0.7 * size_px, (len(image), 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.08 * size_px, 0.3 * size_px, (len(image), 2))], axis=1)
    images = torch.from_numpy(rng.normal(size=(batch_size, size_px, size_px, 3)).astype(np.float32))
    return Batch(
        images=images.permute(0, 3, 1, 2),  # (B, 3, S, S)
        sizes_px=torch.full((batch_size, 2), float(size_px)),
        boxes_xyxy=torch.from_numpy(boxes.astype(np.float32)),
        labels=torch.from_numpy(rng.integers(0, NUM_CLASSES, len(image))),
        image=torch.from_numpy(image),
    )


def serve(scale_file: str, size_px: int, batch_size: int) -> None:
    """Take one turn for each line of the input, and print the seconds of its steps."""
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scale = replace(ModelScale(**yaml.safe_load(Path(scale_file).read_text("utf-8"))), image_size_px=size_px)
    network = build_network("r0-sp53", scale, num_classes=NUM_CLASSES).to(memory_format=torch.channels_last)
    anchors = make_anchors(OUTPUT_LEVELS, size_px, scale.anchor_scale, torch.device("cpu"))
    recipe = Recipe(batch_size=batch_size, optimizer="adamw", learning_rate=1e-3)
    batch, num_steps = make_batch(size_px, batch_size), NUM_UNCOUNTED + STEPS_A_TURN

    for _ in sys.stdin:
        marks: list[float] = []

        # The loop asks for a batch as a step begins, and for one more as the last ends.
        def batches(marks: list[float] = marks) -> Iterator[Batch]:
            for _ in range(num_steps):
                marks.append(time.process_time())
                yield batch
            marks.append(time.process_time())

        train(network, BoxObjective(anchors, recipe, bf16=False), batches(), recipe, num_steps, seed=0)
        print(*np.diff(marks)[NUM_UNCOUNTED:], flush=True)


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a process that serves turns of the version in a folder."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, _WORKER, *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def take_turn(process: "subprocess.Popen[str]") -> list[float]:
    """Return the seconds of each step of one turn."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process has no pipes")
    process.stdin.write("\n")
    process.stdin.flush()
    return [float(word) for word in process.stdout.readline().split()]


def main() -> None:
    here = Path(__file__).parents[1]
    other = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else here
    size_px, batch_size, num_rounds = (
        int(word) for word in [*sys.argv[2:5], *("128", "16", "8")[len(sys.argv[2:5]) :]]
    )

    # Both build the network of this version's scale: the other must know its options.
    scale_file = str(here / "experiments" / "scale" / "tiny.yaml")
    processes = [start(folder, scale_file, str(size_px), str(batch_size)) for folder in (other, here)]
    for process in processes:
        take_turn(process)

    seconds: list[list[float]] = [[], []]
    ratios = []
    for number in range(num_rounds):
        medians = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            steps = take_turn(processes[side])
            seconds[side] += steps
            medians[side] = statistics.median(steps)
        ratios.append(medians[0] / medians[1])
    for process in processes:
        process.communicate()

    low, ratio, high = statistics.quantiles(ratios, n=4)
    before, after = (1000 * statistics.median(side) for side in seconds)
    print(f"{size_px} px, batch {batch_size}, {torch.backends.cpu.get_cpu_capability()}, PyTorch {torch.__version__}")
    print(
        f"other {before:.1f} ms, this {after:.1f} ms of processor time a step; ratio {ratio:.2f} ({low:.2f}-{high:.2f})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == [_WORKER]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
