"""Measure how fast our backbones are beside the reference's, on two processor cores.

make reference                                 once: installs tensorflow/models beside this project, about 2 GB
python -m benchmarks.backbone_speed [rounds]

Both sides have the same spec, batch, image size and number of threads, and run one at a time, in turns. A training step
is forward, backward and an SGD update. For inference our networks have normalisation folded into the convolutions, as
one deploys them; the reference is a compiled graph in both cases. Prints medians and quartiles of all steps, and the
ratio of the medians.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reference import Reference
from benchmarks.timing import spread
from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.latency import device_name
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.runtime import has_fast_bf16, keep_freed_memory
from search_space import ModelScale, published_spec

NUM_THREADS = 2
STEPS_A_TURN = 4
"""Steps that count in each turn; one before them does not, as the other side has just had the caches."""
NUM_WARM_UP_STEPS = 4
PROXY = ModelScale(width_multiplier=0.25, resample_alpha=0.25, endpoint_width=64, activation="silu")
FULL = ModelScale(activation="silu")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Attributes:
        title: its name in the table.
        kind: training steps or forward passes.
        scale: how large SpineNet-49's spec is built.
        batch_size: images in a batch.
        size_px: height and width of the images.
        bf16: our convolutions run in bfloat16.
        their_bf16: the reference runs under Keras' `mixed_bfloat16`.
        goal: ratio that we claim to reach; None for no claim.
    """

    title: str
    kind: Literal["train", "infer"]
    scale: ModelScale
    batch_size: int
    size_px: int
    bf16: bool
    their_bf16: bool
    goal: float | None


def cases() -> list[Case]:
    """Return what is timed; bfloat16 only where the processor computes it fast."""
    small, full = (PROXY, 8, 256), (FULL, 1, 512)
    found = [
        Case("training step, width 0.25", "train", *small, bf16=False, their_bf16=False, goal=1.0),
        Case("inference, width 0.25", "infer", *small, bf16=False, their_bf16=False, goal=1.2),
        Case("inference, SpineNet-49", "infer", *full, bf16=False, their_bf16=False, goal=1.0),
    ]

    if has_fast_bf16("cpu"):
        found += [
            Case("training step, width 0.25", "train", *small, bf16=True, their_bf16=True, goal=1.3),
            Case("training step, width 0.25", "train", *small, bf16=True, their_bf16=False, goal=1.3),
            Case("inference, width 0.25", "infer", *small, bf16=True, their_bf16=True, goal=1.2),
            Case("inference, SpineNet-49", "infer", *full, bf16=True, their_bf16=True, goal=None),
        ]

    return found


def our_step(case: Case, images: NDArray[np.float32]) -> Callable[[], None]:
    """Return a function that runs one step on (B, H, W, 3) images; it has run some already."""
    torch.manual_seed(0)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)  # (B, 3, H, W)
    network = SpineNet(published_spec("spinenet-49"), case.scale).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.0001, momentum=0.9, fused=True)
    folded = fold_norms(network)

    def endpoints(module: SpineNet) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=case.bf16):
            return [x.float() for x in module(batch)]

    # Any scalar that depends on all endpoints will do as a loss: the backbone alone is timed.
    def train() -> None:
        loss = torch.stack([x.square().mean() for x in endpoints(network)]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            sum(x.sum() for x in endpoints(folded))

    step = train if case.kind == "train" else infer

    # The first steps choose algorithms and get memory.
    for _ in range(NUM_WARM_UP_STEPS):
        step()
    return step


def time_steps(step: Callable[[], None]) -> list[float]:
    """Return the seconds that each step of one turn took."""
    step()
    seconds = []
    for _ in range(STEPS_A_TURN):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return seconds


def compare(reference: Reference, case: Case, num_rounds: int) -> float:
    """Time both sides in turn, print a line, and return how many times as fast we are."""
    images = np.random.default_rng(0).normal(size=(case.batch_size, case.size_px, case.size_px, 3)).astype(np.float32)
    path = str(reference.folder / "images.npy")
    np.save(path, images)

    precision = "mixed_bfloat16" if case.their_bf16 else "float32"
    reference.build("model", published_spec("spinenet-49"), case.scale, case.size_px, precision)
    reference.ask("prepare_steps", name="model", images=path, kind=case.kind)
    step = our_step(case, images)

    # In turns, so that a machine that slows down slows both.
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(num_rounds):
        ours += time_steps(step)
        theirs += reference.ask("time_steps", name="model", num_steps=STEPS_A_TURN)
    reference.ask("forget", name="model")

    ratio = statistics.median(theirs) / statistics.median(ours)
    precisions = f"{'bf16' if case.bf16 else 'f32'} / {'bf16' if case.their_bf16 else 'f32'}"
    goal = f"goal {case.goal:.1f}" if case.goal else ""
    print(
        f"{case.title:<26} {case.size_px} px, batch {case.batch_size}  {precisions:<11} {spread(ours)} {spread(theirs)}"
        f"  {ratio:4.2f}  {goal}",
        flush=True,
    )
    return ratio


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    keep_freed_memory()
    torch.set_num_threads(NUM_THREADS)

    with Reference() as reference:
        print(f"PyTorch {torch.__version__}, TensorFlow {reference.version}, {device_name(torch.device('cpu'))}")
        print(f"{num_rounds} rounds of {STEPS_A_TURN} steps a side; milliseconds, median (quartiles)")
        print(f"{'':<26} {'':<15}  {'ours/theirs':<11} {'ours':<22} {'theirs':<22}  times as fast")
        ratios = [(case, compare(reference, case, num_rounds)) for case in cases()]

    num_missed = sum(case.goal is not None and ratio < case.goal for case, ratio in ratios)
    if num_missed:
        sys.exit(f"error: {num_missed} of the goals not reached")


if __name__ == "__main__":
    main()
