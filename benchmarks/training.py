"""Speed of a training step beside torchvision's RetinaNet with the same backbone.

python -m benchmarks.training [rounds]

Both sides train SpineNet-49 at a quarter of the width with a RetinaNet head, 80 classes, on the same images and boxes:
images of noise, boxes as many as in COCO. Theirs has torchvision's own transform, head, anchors, matcher and losses;
ours augments on top. A step is forward, loss, backward, clipping and SGD. Each side has a process of its own, ours with
what the proxy task sets up in one (`keep_freed_memory`); theirs is also timed with that. One side at a time, turn and
turn about; prints medians and quartiles of all steps, the ratios of the medians, and where the time of ours goes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead

from benchmarks.generated_coco import MEAN_BOXES, NUM_CLASSES
from benchmarks.timing import spread
from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.detection.losses import detection_loss, match_batch
from proxy_tasks.networks.latency import device_name
from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.retinanet import RawDetections
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.networks.torchvision_backbone import TorchvisionBackbone
from proxy_tasks.runtime import has_fast_bf16, keep_freed_memory, pick_device, wait_for
from proxy_tasks.training.flat_parameters import flatten_groups
from proxy_tasks.training.optimization import make_optimizer
from proxy_tasks.training.recipe import Recipe
from search_space import ModelScale, published_spec

NUM_THREADS = 2
STEPS_A_TURN = 4
"""Steps of a turn that count; one before them does not, as the other side has just had the caches."""
BATCH_SIZE = 8
SIZE_PX = 256
GOAL = 1.5
SPEC = published_spec("spinenet-49")
SCALE = ModelScale(
    width_multiplier=0.25,
    resample_alpha=0.25,
    endpoint_width=64,
    head_width=64,
    num_head_convs=4,
    image_size_px=SIZE_PX,
    anchor_scale=3.0,
)
PAPER_PROXY = replace(SCALE, image_size_px=512)
"""The paper's proxy scale."""
RECIPE = Recipe(batch_size=BATCH_SIZE, learning_rate=1e-4, jitter=(0.8, 1.2))

Step = Callable[[], None]
MakeStep = Callable[[Batch, torch.device, bool], Step]
Do = Callable[[str, Callable[[], Any]], Any]
"""Runs a named part of a step and returns its result."""


def torchvision_detector() -> RetinaNet:
    sizes = tuple(tuple(3 * 2**level * 2 ** (octave / 3) for octave in range(3)) for level in range(3, 8))
    return RetinaNet(
        TorchvisionBackbone(SpineNet(SPEC, SCALE)),
        NUM_CLASSES,
        min_size=SIZE_PX,
        max_size=SIZE_PX,
        anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        head=RetinaNetHead(
            SCALE.endpoint_width,
            9,
            NUM_CLASSES,
            norm_layer=partial(nn.BatchNorm2d, eps=NORM_EPSILON, momentum=NORM_MOMENTUM),
        ),
    )


def make_batch(device: torch.device) -> Batch:
    generator = np.random.default_rng(0)
    counts = generator.geometric(1 / MEAN_BOXES, size=BATCH_SIZE)

    corner = generator.uniform(0, 0.6 * SIZE_PX, size=(counts.sum(), 2))  # (N, 2)
    boxes = np.concatenate((corner, corner + generator.uniform(4, 0.4 * SIZE_PX, size=corner.shape)), axis=1)

    images = torch.from_numpy(generator.normal(size=(BATCH_SIZE, SIZE_PX, SIZE_PX, 3)).astype(np.float32))
    return Batch(
        images.to(device).permute(0, 3, 1, 2),  # (B, 3, S, S), channels last
        torch.full((BATCH_SIZE, 2), float(SIZE_PX), device=device),
        torch.from_numpy(boxes.astype(np.float32)).to(device),
        torch.from_numpy(generator.integers(NUM_CLASSES, size=len(boxes))).to(device),
        torch.from_numpy(np.repeat(np.arange(BATCH_SIZE), counts)).to(device),
    )


def untimed(part: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever a part returns
    """Do a part of a step."""
    return action()


def finish_step(
    parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, loss: Tensor, do: Do = untimed
) -> None:
    do("backward", loss.backward)
    do("clip", partial(nn.utils.clip_grad_norm_, parameters, RECIPE.gradient_clip_norm))
    do("update", optimizer.step)


def whole_loss(raw: RawDetections, batch: Batch, anchors_xyxy: Tensor) -> Tensor:
    matched = match_batch(batch, anchors_xyxy)
    return detection_loss(raw, batch, anchors_xyxy, matched, (matched >= 0).sum())


def our_step(batch: Batch, device: torch.device, bf16: bool, do: Do = untimed) -> Step:
    torch.manual_seed(0)
    network = build_detector(SPEC, SCALE, NUM_CLASSES).to(device).to(memory_format=torch.channels_last)
    anchors = make_anchors(network.output_levels, SIZE_PX, SCALE.anchor_scale, device)
    optimizer = make_optimizer(network, RECIPE)
    parameters = flatten_groups(optimizer)
    rng = np.random.default_rng(0)

    def step() -> None:
        drawn = draw_augmentation(rng, len(batch.images))
        augmented = do("augment", partial(augment, batch, drawn, flip=RECIPE.flip, jitter=RECIPE.jitter))
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            raw = do("forward", partial(network, augmented.images))

        loss = do("loss", partial(whole_loss, raw, augmented, anchors))
        optimizer.zero_grad(set_to_none=False)
        finish_step(parameters, optimizer, loss, do)

    return step


def their_step(batch: Batch, device: torch.device, bf16: bool) -> Step:
    torch.manual_seed(0)
    network = torchvision_detector().to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, RECIPE)

    # Theirs normalises on its own, from images in [0, 1].
    images = list(batch.images.sigmoid())
    targets = [
        {"boxes": batch.boxes_xyxy[batch.image == i], "labels": batch.labels[batch.image == i]}
        for i in range(BATCH_SIZE)
    ]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            losses = network(images, targets)
        optimizer.zero_grad(set_to_none=True)
        finish_step(list(network.parameters()), optimizer, torch.stack(list(losses.values())).sum())

    return step


def seconds_of(step: Step, device: torch.device, num_steps: int) -> list[float]:
    seconds = []
    for _ in range(num_steps + 1):
        started = time.perf_counter()
        step()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


class Side:
    """A process that takes training steps when it is told to."""

    def __init__(self, make_step: MakeStep, bf16: bool, keep_memory: bool) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make_step, bf16, keep_memory), daemon=True)
        self._process.start()
        self.seconds: list[float] = []

    def warm_up(self) -> None:
        """Take the first steps, which choose algorithms and get memory."""
        self._ask(5)

    def take_turn(self) -> None:
        """Take some steps and note the seconds of each."""
        self.seconds += self._ask(STEPS_A_TURN)

    def _ask(self, num_steps: int) -> list[float]:
        self._connection.send(num_steps)
        seconds: list[float] = self._connection.recv()
        return seconds

    def stop(self) -> None:
        """End the process."""
        self._connection.send(0)
        self._process.join()


def _serve(connection: "Connection[list[float], int]", make_step: MakeStep, bf16: bool, keep_memory: bool) -> None:
    if keep_memory:
        keep_freed_memory()
    torch.set_num_threads(NUM_THREADS)
    device = pick_device("auto")
    step = make_step(make_batch(device), device, bf16)
    for num_steps in iter(connection.recv, 0):
        connection.send(seconds_of(step, device, num_steps))


def compare(bf16: bool, num_rounds: int) -> tuple[float, float]:
    """Time all sides in turn, print a line, and return the median seconds of ours and of theirs as it comes."""
    sides = [Side(our_step, bf16, True), Side(their_step, bf16, False), Side(their_step, bf16, True)]

    # One side at a time, as all share the processor; in turns, so that a machine that slows down slows all.
    for side in sides:
        side.warm_up()
    for _ in range(num_rounds):
        for side in sides:
            side.take_turn()
    for side in sides:
        side.stop()

    ours, theirs, theirs_keeping = (statistics.median(side.seconds) for side in sides)
    spreads = " ".join(spread(side.seconds) for side in sides)
    print(
        f"{'bfloat16' if bf16 else 'float32':<9} {spreads} {theirs / ours:5.2f} {theirs_keeping / ours:5.2f}  "
        f"{BATCH_SIZE / ours:.1f} images/s",
        flush=True,
    )
    return ours, theirs


def print_parts(device: torch.device, bf16: bool) -> None:
    """Print the median milliseconds of each part of our step."""
    seconds: dict[str, list[float]] = {}

    def timed(part: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever a part returns
        started = time.perf_counter()
        made = action()
        wait_for(device)
        seconds.setdefault(part, []).append(time.perf_counter() - started)
        return made

    step = our_step(make_batch(device), device, bf16, timed)
    for _ in range(12):
        step()

    # The first steps choose algorithms and get memory.
    parts = ", ".join(f"{part} {1000 * statistics.median(times[3:]):.1f}" for part, times in seconds.items())
    print(f"parts of ours in {'bfloat16' if bf16 else 'float32'}, ms: {parts}")


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    keep_freed_memory()
    torch.set_num_threads(NUM_THREADS)
    device = pick_device("auto")
    fast_bf16 = has_fast_bf16(device.type)

    print(f"PyTorch {torch.__version__}, {device_name(device)}, {NUM_THREADS} threads")
    print(
        f"SpineNet-49, width {SCALE.width_multiplier}, {SIZE_PX} px, batch {BATCH_SIZE}; ms a step, median (quartiles)"
    )
    print(f"{'':<9} {'ours':<22} {'torchvision':<22} {'... keeping memory':<22} times as fast")
    precisions = [False, True] if fast_bf16 else [False]

    # The first precision is float32; the last is what our task would choose.
    medians = [compare(bf16, num_rounds) for bf16 in precisions]
    our_precision = "bfloat16" if fast_bf16 else "float32"
    print(f"as each comes, ours {our_precision}, theirs float32: {medians[0][1] / medians[-1][0]:.2f}")
    for bf16 in precisions:
        print_parts(device, bf16)

    ratio = min(theirs / ours for ours, theirs in medians)
    if ratio < GOAL:
        sys.exit(f"error: {ratio:.2f} times as fast in the same precision, the goal is {GOAL}")


if __name__ == "__main__":
    main()
