"""Speed of a classifier's training images, beside torchvision's ImageFolder in a DataLoader.

python -m benchmarks.class_loader [rounds]

Both sides deliver normalised batches of random crops of 224 px, half of them mirrored, of the same 400 generated JPEGs
of 640x480 px. Theirs decodes and crops in two worker processes; ours decodes ahead in threads and crops in the
process that trains, as `nas.train` does. Turn and turn about; prints medians and quartiles of wall time, and the time
that processors spent on an image: where other work runs on the machine it is the fairer figure.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder as TorchvisionFolder
from torchvision.transforms import v2

from benchmarks.generated_coco import generated_coco
from benchmarks.loader import spread
from proxy_tasks.base import silent
from proxy_tasks.classification.image_folder import ImageFolder
from proxy_tasks.classification.labelled import read_labelled
from proxy_tasks.classification.objective import ClassObjective
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.native_images import Native
from proxy_tasks.runtime import keep_freed_memory
from proxy_tasks.training.processes import ALONE

NUM_IMAGES, NUM_CLASSES, BATCH_SIZE, SIZE_PX, NUM_WORKERS = 400, 10, 32, 224, 2


def make_folder_of_classes(root: Path) -> None:
    """Give each class as many of the images."""
    for i, path in enumerate(sorted((root / "train2017").iterdir())):
        folder = root / "train" / f"class{i % NUM_CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)


def theirs(root: Path) -> Callable[[], int]:
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE_PX),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    images = TorchvisionFolder(str(root / "train"), transform)
    loader = DataLoader(images, BATCH_SIZE, shuffle=True, num_workers=NUM_WORKERS, persistent_workers=True)
    return lambda: sum(len(batch) for batch, _ in loader)


def ours(split: CachedSplit) -> Callable[[], int]:
    objective, rng = ClassObjective(ClassRecipe(), flip=True, bf16=False), np.random.default_rng(0)

    def read() -> int:
        order = rng.permutation(NUM_IMAGES)
        steps = np.split(order, range(BATCH_SIZE, NUM_IMAGES, BATCH_SIZE))
        num_images = 0
        for part in read_labelled(split, steps, torch.device("cpu")):
            ready = objective.ready([part], rng, num_images=part.num_images, first=0, processes=ALONE)
            num_images += len(ready[0].images)
        return num_images

    return read


def processor_seconds() -> float:
    """Return the processor time of this process and of its children, those that still run included."""
    total = time.process_time()
    ticks = os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    keep_freed_memory()
    torch.set_num_threads(1)
    with generated_coco(NUM_IMAGES) as root:
        make_folder_of_classes(root)
        folder = ImageFolder(root, lists_dir=root / "lists", num_held_out=1).folder(silent)
        started = time.perf_counter()
        split = cached_split(folder.cache_key("train", SIZE_PX, Native(), root / "cache"), silent)
        print(f"making the cache: {NUM_IMAGES / (time.perf_counter() - started):.0f} images/s, once")

        passes = {"ours": ours(split), "ImageFolder, 2 workers": theirs(root)}
        speeds: dict[str, list[float]] = {name: [] for name in passes}
        spent: dict[str, list[float]] = {name: [] for name in passes}
        # The first pass, which starts workers and reads pages for the first time, does not count.
        for _ in range(num_rounds + 1):
            for name, run in passes.items():
                before, started = processor_seconds(), time.perf_counter()
                num_images = run()
                speeds[name].append(num_images / (time.perf_counter() - started))
                spent[name].append((processor_seconds() - before) / num_images)
        for name in passes:
            ms = 1000 * statistics.median(spent[name][1:])
            print(f"{name:24} {spread(speeds[name][1:])}, {ms:.2f} ms of a processor an image")


if __name__ == "__main__":
    main()
