"""Images a second that the whole training loop takes from the cache, beside the machine's ceilings.

python -m benchmarks.training_throughput [seconds a variant] [file.json]

SpineNet-49 at the paper's proxy scale (a quarter of the width, 512 px, 80 classes), trained by the proxy task's own
loop on a generated data set. On a GPU the measures are added one after the other: layout, bfloat16, the step as one
graph, fused operators; then batch sizes, and several trials at once. On a processor: float32 and bfloat16. The two
ceilings, a large bfloat16 product and a large copy, are measured first. A training step is taken for three forward
passes of multiply-adds, and its bytes for what `step_traffic` counts. The file gets all figures with the device's name.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import Any

import torch

from benchmarks.generated_coco import NUM_CLASSES, generated_coco
from benchmarks.step_traffic import BATCH_SIZE, step_traffic
from benchmarks.training import PAPER_PROXY, SPEC
from proxy_tasks.base import silent
from proxy_tasks.coco.batches import Batch, load_batches, training_rows
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.box_objective import BoxObjective
from proxy_tasks.detection.graphed_gradients import REPLAYED, Launch
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.latency import device_name
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.runtime import has_fast_bf16, pick_device, set_up_training, wait_for
from proxy_tasks.training.loop import train
from proxy_tasks.training.recipe import Recipe

GOAL_ON_H200 = 4000
_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the loop.

    Attributes:
        batch_size: images a step.
        bf16: convolutions in bfloat16.
        channels_last: layout of features.
        launch: the way in which a step on a GPU is launched.
        num_processes: trials at once on the device.
    """

    batch_size: int
    bf16: bool = True
    channels_last: bool = True
    launch: Launch = REPLAYED
    num_processes: int = 1

    def __str__(self) -> str:
        words = [
            f"batch {self.batch_size}",
            "bfloat16" if self.bf16 else "float32",
            "channels last" if self.channels_last else "channels first",
            "one graph" if self.launch.replays else "eager",
            "fused" if self.launch.fuses else "",
            f"{self.num_processes} trials at once" if self.num_processes > 1 else "",
        ]
        return ", ".join(word for word in words if word)


def gpu_variants() -> list[Variant]:
    eager, plain_graph = Launch(replays=False, fuses=False), Launch(fuses=False)
    return [
        Variant(64, bf16=False, channels_last=False, launch=eager),
        Variant(64, bf16=False, launch=eager),
        Variant(64, launch=eager),
        Variant(64, launch=plain_graph),
        *(Variant(size) for size in (64, 128, 256)),
        Variant(64, num_processes=2),
        Variant(64, num_processes=4),
    ]


def run(variant: Variant, key: CacheKey, device_type: str, seconds: float, all_warm: Barrier) -> tuple[float, float]:
    """Train for about `seconds`; return images a second without the first steps, and the seconds that those took.

    No process counts its steps before the first steps of all are over.
    """
    device = pick_device(device_type)
    set_up_training(device)
    split = cached_split(key, silent)

    torch.manual_seed(0)
    detector = build_detector(SPEC, PAPER_PROXY, NUM_CLASSES).to(device)
    network = detector.to(memory_format=torch.channels_last) if variant.channels_last else detector
    anchors = make_anchors(detector.output_levels, PAPER_PROXY.image_size_px, PAPER_PROXY.anchor_scale, device)

    recipe = Recipe(batch_size=variant.batch_size, learning_rate=1e-3, schedule="cosine", jitter=(0.8, 1.2))
    num_warm, num_counted = 8, 0
    started = warm_at = warmed_up_at = time.perf_counter()
    rows = training_rows(torch.arange(split.annotations.num_images).numpy(), variant.batch_size, 10**6, seed=0)

    # Time ends the training, so the schedule only has to be longer than any.
    def until_time_is_up() -> Iterator[Batch]:
        nonlocal num_counted, warm_at, warmed_up_at
        for step, batch in enumerate(load_batches(split, rows, device)):
            if step == num_warm:
                # The clock starts for all processes together: while one warms up, the others would seem fast.
                wait_for(device)
                warmed_up_at = time.perf_counter()
                all_warm.wait()
                warm_at = time.perf_counter()

            # Three steps are counted at least, however slow they are.
            if step >= num_warm + 3 and time.perf_counter() - warm_at > seconds:
                return
            num_counted += step >= num_warm
            yield batch if variant.channels_last else batch._replace(images=batch.images.contiguous())

    objective = BoxObjective(anchors, recipe, bf16=variant.bf16, launch=variant.launch)
    train(network, objective, until_time_is_up(), recipe, 10**6, seed=0)
    wait_for(device)
    return num_counted * variant.batch_size / (time.perf_counter() - warm_at), warmed_up_at - started


def images_a_second(variant: Variant, key: CacheKey, device: torch.device, seconds: float) -> tuple[float, float]:
    """Return the sum over the variant's processes, and the longest time before the first counted step."""
    # Fresh processes for each variant, as what one leaves behind in memory is another's loss.
    context = get_context("spawn")
    with context.Manager() as manager, context.Pool(variant.num_processes) as pool:
        arguments = (variant, key, device.type, seconds, manager.Barrier(variant.num_processes))
        results = pool.starmap(run, [arguments] * variant.num_processes, chunksize=1)
    return sum(speed for speed, _ in results), max(warm_up for _, warm_up in results)


def ceilings(device: torch.device, bf16: bool) -> tuple[float, float]:
    """Return operations a second of a large product, two for each multiply-add, and bytes a second of a large copy."""
    side = _SIDE if device.type == "cuda" else _SIDE // 8
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16 if bf16 else torch.float32) for _ in range(2))
    source = torch.empty(2**30 if device.type == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = 2 * side**3 / _seconds(lambda: a @ b, device)
    return product, 2 * source.numel() / _seconds(lambda: target.copy_(source), device)


def _seconds(action: Any, device: torch.device) -> float:  # noqa: ANN401  # any function
    times = []
    for _ in range(13):
        wait_for(device)
        started = time.perf_counter()
        action()
        wait_for(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:])


def needs_of_an_image(bf16: bool) -> tuple[float, float]:
    """Return the operations and the fewest bytes of one image's training step."""
    # Three passes, one forward and two backward, of two operations for each multiply-add.
    operations = 3 * 2 * detector_cost(SPEC, PAPER_PROXY, NUM_CLASSES).macs
    num_bytes = sum(step_traffic().num_bytes.values()) / BATCH_SIZE
    return operations, num_bytes * (1 if bf16 else 2)


def main() -> None:
    device = pick_device("auto")
    is_gpu = device.type == "cuda"
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    fast_bf16 = has_fast_bf16(device.type)
    variants = (
        gpu_variants() if is_gpu else [Variant(16, bf16=bf16) for bf16 in ([False, True] if fast_bf16 else [False])]
    )

    operations, num_bytes = ceilings(device, fast_bf16)
    per_image = needs_of_an_image(fast_bf16)
    print(f"PyTorch {torch.__version__}, {device_name(device)}")
    print(f"product {operations / 1e12:.3g} TFLOP/s, copy {num_bytes / 1e12:.3g} TB/s")
    limits = [ceiling / need for ceiling, need in zip((operations, num_bytes), per_image, strict=True)]
    print(
        f"an image needs {per_image[0] / 1e9:.1f} GFLOP and moves {per_image[1] / 1e6:.0f} MB or more: at most "
        f"{limits[0]:.0f} and {limits[1]:.0f} images/s"
    )

    figures: dict[str, Any] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "flops": operations,
        "bytes_per_second": num_bytes,
        "flop_an_image": per_image[0],
        "bytes_an_image": per_image[1],
        "variants": [],
    }
    with generated_coco(2000) as root:
        key = CocoFolder(root).cache_key("train", PAPER_PROXY.image_size_px, "raw", root / "cache")

        # Made once, before any process asks for it.
        cached_split(key, silent)
        for variant in variants:
            speed, warm_up = images_a_second(variant, key, device, seconds)
            figures["variants"].append({"name": str(variant), "images_per_second": speed, "first_steps_s": warm_up})
            print(
                f"{variant!s:<70} {speed:8.1f} images/s, {100 * speed / limits[0]:4.1f} % and "
                f"{100 * speed / limits[1]:4.1f} % of the ceilings; first steps {warm_up:.0f} s",
                flush=True,
            )

            # Written each time, so that nothing measured is lost.
            if len(sys.argv) > 2:
                Path(sys.argv[2]).write_text(json.dumps(figures, indent=1), encoding="utf-8")

    best = max(variant["images_per_second"] for variant in figures["variants"])
    print(f"five epochs of COCO's 110,895 training images: {5 * 110_895 / best / 60:.1f} minutes")
    if is_gpu and "H200" in torch.cuda.get_device_name() and best < GOAL_ON_H200:
        sys.exit(f"error: {best:.0f} images/s, the goal is {GOAL_ON_H200}")


if __name__ == "__main__":
    main()
