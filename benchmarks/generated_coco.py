"""A COCO-format data set of noise with boxes, for benchmarks: files, sizes and counts like COCO's, nothing to learn."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

NUM_CLASSES = 80
MEAN_BOXES = 7.3
"""Boxes an image, as in COCO train2017; their number follows a geometric distribution."""
_WIDTH, _HEIGHT = 640, 480


@contextmanager
def generated_coco(num_images: int) -> Iterator[Path]:
    """Write a data set, laid out as COCO 2017's training split, and delete it at the end."""
    with TemporaryDirectory(prefix="generated-coco-") as name:
        root = Path(name)
        write_coco(root, num_images)
        yield root


def write_coco(root: Path, num_images: int) -> None:
    """Write JPEGs of 640x480 px and their annotations; category ids have gaps."""
    images = root / "train2017"
    images.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda i: _write_image(images / _file_name(i), i), range(num_images)))

    annotations = root / "annotations"
    annotations.mkdir()
    (annotations / "instances_train2017.json").write_text(json.dumps(_document(num_images)), encoding="utf-8")


def random_boxes(rng: np.random.Generator, num_boxes: int) -> np.ndarray:
    """Return (N, 4) x, y, width, height inside the image; sides from 8 px to most of it, small ones more often."""
    sides = np.exp(rng.uniform(np.log(8), np.log([0.8 * _WIDTH, 0.8 * _HEIGHT]), size=(num_boxes, 2)))  # (N, 2)
    corners = rng.uniform(size=(num_boxes, 2)) * ([_WIDTH, _HEIGHT] - sides)  # (N, 2)
    return np.concatenate((corners, sides), axis=1).round(2)  # (N, 4)


def _write_image(path: Path, seed: int) -> None:
    """Write a smooth pattern of colours with grain over it."""
    rng = np.random.default_rng([0, seed])
    coarse = Image.fromarray(rng.integers(0, 256, size=(12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), dtype=np.int16)

    # Grain, so that files are about as large as photographs': 100 to 200 kB.
    pixels = smooth + rng.integers(-12, 13, size=smooth.shape, dtype=np.int16)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def _document(num_images: int) -> dict[str, Any]:
    """Return the annotation file as JSON values."""
    # COCO's 80 ids have gaps too, up to 90.
    rng = np.random.default_rng(1)
    category_ids = np.sort(rng.choice(np.arange(1, 91), NUM_CLASSES, replace=False)).tolist()

    annotations: list[dict[str, Any]] = []
    for image_id in range(num_images):
        boxes = random_boxes(rng, int(rng.geometric(1 / MEAN_BOXES)))
        for x, y, width, height in boxes.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_ids[rng.integers(NUM_CLASSES)],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )

    size = {"width": _WIDTH, "height": _HEIGHT}
    return {
        "images": [{"id": i, "file_name": _file_name(i), **size} for i in range(num_images)],
        "annotations": annotations,
        "categories": [{"id": number, "name": f"class {number}"} for number in category_ids],
    }


def _file_name(image_id: int) -> str:
    return f"{image_id:012d}.jpg"
