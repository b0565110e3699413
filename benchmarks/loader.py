"""Speed of batches from the cache, beside pycocotools, Pillow and torchvision's transforms in a DataLoader.

python -m benchmarks.loader [rounds]

Both sides deliver normalised batches of the same 2,000 generated JPEGs of 640x480 px with their boxes, the long side
fitted to 256 px. Theirs decodes on every pass, in two worker processes; ours reads what `nas.prepare`
wrote, in one. A pass at a time, turn and turn about; prints medians and quartiles. The cost of making the cache is
printed too, and how much faster than a training step the loader is: the step of benchmarks.training, the same batch.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.generated_coco import generated_coco
from benchmarks.training import BATCH_SIZE, NUM_THREADS, SIZE_PX, make_batch, our_step, seconds_of
from proxy_tasks.base import silent
from proxy_tasks.coco.batches import load_batches
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.runtime import has_fast_bf16, keep_freed_memory, pick_device, wait_for

NUM_IMAGES = 2000
NUM_WORKERS = 2
GOAL_BESIDE_PEER, GOAL_BESIDE_TRAINING = 10, 5
Sample = tuple[Tensor, dict[str, Tensor]]


class _Coco(Dataset[Sample]):
    """A data set as a tutorial would write it."""

    def __init__(self, root: Path) -> None:
        self.images = root / "train2017"
        self.coco = COCO(str(root / "annotations" / "instances_train2017.json"))
        self.ids = sorted(self.coco.getImgIds())
        self.transform = v2.Compose(
            [
                v2.Resize(None, max_size=SIZE_PX),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        (info,) = self.coco.loadImgs(self.ids[index])
        with Image.open(self.images / info["file_name"]) as opened:
            image = self.transform(opened.convert("RGB"))

        # Boxes are scaled as the image is, and crowds stay in: the peer may do less than ours.
        annotations = self.coco.loadAnns(self.coco.getAnnIds(self.ids[index]))
        boxes = torch.tensor([a["bbox"] for a in annotations]) * (SIZE_PX / max(info["width"], info["height"]))

        padded = torch.zeros(3, SIZE_PX, SIZE_PX)
        padded[:, : image.shape[1], : image.shape[2]] = image
        return padded, {"boxes": boxes, "labels": torch.tensor([a["category_id"] for a in annotations])}


def _collate(samples: list[Sample]) -> tuple[Tensor, list[dict[str, Tensor]]]:
    return torch.stack([image for image, _ in samples]), [target for _, target in samples]


def images_a_second(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    return run() / (time.perf_counter() - started)


def spread(values: list[float]) -> str:
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:8.0f} images/s ({low:.0f}-{high:.0f})"


def main() -> None:
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    keep_freed_memory()
    torch.set_num_threads(NUM_THREADS)
    device = pick_device("auto")

    with generated_coco(NUM_IMAGES) as root:
        key = CocoFolder(root).cache_key("train", SIZE_PX, "raw", root / "cache")
        started = time.perf_counter()
        split = cached_split(key, silent)
        print(f"making the cache: {NUM_IMAGES / (time.perf_counter() - started):.0f} images/s, once")

        peer = DataLoader(
            _Coco(root), BATCH_SIZE, shuffle=True, num_workers=NUM_WORKERS, collate_fn=_collate, persistent_workers=True
        )
        rng = np.random.default_rng(0)

        def theirs() -> int:
            return sum(len(images.to(device)) for images, _ in peer)

        def ours() -> int:
            steps = rng.permutation(NUM_IMAGES).reshape(-1, BATCH_SIZE)
            num_loaded = sum(len(batch.images) for batch in load_batches(split, steps, device))
            # Copies to a GPU may still be under way.
            wait_for(device)
            return num_loaded

        # Not counted: workers start, pages are read for the first time.
        theirs()
        ours()

        their_speeds, our_speeds = [], []
        for _ in range(num_rounds):
            their_speeds.append(images_a_second(theirs))
            our_speeds.append(images_a_second(ours))

    # Without the first two steps, which choose algorithms and get memory.
    step = our_step(make_batch(device), device, has_fast_bf16(device.type))
    training = BATCH_SIZE / statistics.median(seconds_of(step, device, 12)[2:])
    beside_peer = statistics.median(our_speeds) / statistics.median(their_speeds)
    beside_training = statistics.median(our_speeds) / training

    print(f"from the cache            {spread(our_speeds)}")
    print(f"DataLoader, {NUM_WORKERS} workers     {spread(their_speeds)}")
    print(f"training step             {training:8.0f} images/s")
    print(f"{beside_peer:.0f} times the DataLoader, {beside_training:.0f} times the training step")
    if beside_peer < GOAL_BESIDE_PEER or beside_training < GOAL_BESIDE_TRAINING:
        sys.exit(f"error: the goals are {GOAL_BESIDE_PEER} and {GOAL_BESIDE_TRAINING} times")


if __name__ == "__main__":
    main()
