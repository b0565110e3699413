"""Caches of native size beside caches of squares: bytes on disk, and images a second as a training takes them.

python -m benchmarks.native_cache [rounds]

400 generated JPEGs of 640x480 px, as large as photographs, for networks that take 640 px. Each way of reading passes
over all of them, turn and turn about: read alone, and augmented with a jitter of 0.5 to 2. Prints medians and
quartiles.
"""

import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch

from benchmarks.generated_coco import generated_coco
from benchmarks.loader import images_a_second, spread
from proxy_tasks.base import silent
from proxy_tasks.coco.batches import Batch, load_batches
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.originals import Originals, load_originals
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.detection.augment_originals import augment_originals
from proxy_tasks.runtime import keep_freed_memory, pick_device, wait_for

NUM_IMAGES, BATCH_SIZE, SIZE_PX = 400, 8, 640
JITTER = (0.5, 2.0)
FORMATS: dict[str, Format | Native] = {"raw squares": "raw", "JPEG squares": "jpeg", "native": Native()}


def augmented(batch: Batch | Originals, rng: np.random.Generator) -> Batch:
    drawn = draw_augmentation(rng, batch.num_images)
    if isinstance(batch, Originals):
        return augment_originals(batch, drawn, flip=True, jitter=JITTER)
    return augment(batch, drawn, flip=True, jitter=JITTER)


def ways(splits: dict[str, CachedSplit], device: torch.device) -> dict[str, Callable[[], int]]:
    """Return each way of reading all images, by its name."""
    rng = np.random.default_rng(0)

    def read(name: str, *, as_originals: bool, is_augmented: bool) -> int:
        steps = rng.permutation(NUM_IMAGES).reshape(-1, BATCH_SIZE)
        load = load_originals if as_originals else load_batches
        batches: Iterable[Batch | Originals] = load(splits[name], steps, device)
        num_images = 0
        for batch in batches:
            num_images += batch.num_images
            if is_augmented:
                augmented(batch, rng)
        wait_for(device)
        return num_images

    return {
        "raw squares": lambda: read("raw squares", as_originals=False, is_augmented=False),
        "JPEG squares": lambda: read("JPEG squares", as_originals=False, is_augmented=False),
        "native, as squares to score": lambda: read("native", as_originals=False, is_augmented=False),
        "native, as originals": lambda: read("native", as_originals=True, is_augmented=False),
        "raw squares, augmented": lambda: read("raw squares", as_originals=False, is_augmented=True),
        "JPEG squares, augmented": lambda: read("JPEG squares", as_originals=False, is_augmented=True),
        "native originals, augmented": lambda: read("native", as_originals=True, is_augmented=True),
    }


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    keep_freed_memory()
    device = pick_device("auto")

    with generated_coco(NUM_IMAGES) as root:
        splits = {}
        for name, form in FORMATS.items():
            started = time.perf_counter()
            splits[name] = cached_split(CocoFolder(root).cache_key("train", SIZE_PX, form, root / "cache"), silent)
            speed = NUM_IMAGES / (time.perf_counter() - started)
            num_bytes = (splits[name].path / "images").stat().st_size
            print(f"{name:28} {num_bytes / NUM_IMAGES / 1e3:8.0f} kB an image, made at {speed:.0f} images/s")

        # The first pass, which reads pages for the first time, does not count.
        passes = ways(splits, device)
        speeds: dict[str, list[float]] = {name: [] for name in passes}
        for _ in range(num_rounds + 1):
            for name, run in passes.items():
                speeds[name].append(images_a_second(run))
        for name, values in speeds.items():
            print(f"{name:28} {spread(values[1:])}")


if __name__ == "__main__":
    main()
