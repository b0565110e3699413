"""Batches of images and boxes: which images, in which order, on which device."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.image_store import JpegImages

# ImageNet's mean and deviation per channel of RGB in [0, 1], as in the reference's input pipeline.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
MAX_BOXES = 100
"""Boxes kept per image; the reference's limit."""
_NUM_AHEAD = 3
"""Batches that are read before they are asked for."""

T = TypeVar("T")


class Batch(NamedTuple):
    """B images of S px with N boxes in all.

    Attributes:
        images: (B, 3, S, S) float32, normalised, in channels-last layout; padding is zero after normalisation, but for
            a few pixels around the image where the cache is JPEG.
        boxes_xyxy: (N, 4) corners in pixels, one image's after the other's; N is 1 or more.
        labels: (N,) class index, -1 for rows that are no box.
        image: (N,) which image of the batch each box is in.
    """

    images: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor


class _Loaded(NamedTuple):
    """A batch before normalisation: (B, S, S, 3) bytes, and (B, 2) height and width of each image without padding."""

    pixels: Tensor
    sizes_px: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    image: Tensor

    def batch(self) -> Batch:
        return Batch(normalise(self.pixels, self.sizes_px), self.boxes_xyxy, self.labels, self.image)


def load_batches(split: CachedSplit, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[Batch]:
    """Yield a batch for each array of rows, read ahead in a thread; crowd boxes are left out, as in the reference.

    On CUDA they are copied there meanwhile, on a stream of their own: neither waits for the network, nor it for them.
    """
    if device.type != "cuda":
        for loaded in _ahead(lambda rows: _load(split, rows, device), steps):
            yield loaded.batch()
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it so

    def load(rows: NDArray[np.int64]) -> tuple[_Loaded, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return _load(split, rows, device), stream.record_event()

    for loaded, copied in _ahead(load, steps):
        current = torch.cuda.current_stream(device)
        current.wait_event(copied)
        for tensor in loaded:
            tensor.record_stream(current)
        yield loaded.batch()


def _ahead(make: Callable[[NDArray[np.int64]], T], steps: Iterable[NDArray[np.int64]]) -> Iterator[T]:
    """Yield `make` of each step in order, made in another thread some steps before it is asked for."""
    rest = iter(steps)
    with ThreadPoolExecutor(1, "loader") as thread:
        pending: deque[Future[T]] = deque(thread.submit(make, step) for step in islice(rest, _NUM_AHEAD))
        try:
            while pending:
                made = pending.popleft().result()
                pending.extend(thread.submit(make, step) for step in islice(rest, 1))
                yield made
        finally:
            for future in pending:
                future.cancel()


def _load(split: CachedSplit, rows: NDArray[np.int64], device: torch.device) -> _Loaded:
    annotations = split.annotations
    boxes, labels, image = [], [], []
    for i, row in enumerate(rows):
        span = slice(annotations.first_box[row], annotations.first_box[row + 1])
        kept = np.flatnonzero(~annotations.is_crowd[span])[:MAX_BOXES] + annotations.first_box[row]
        boxes.append(annotations.boxes_xyxy[kept] * split.scales[row])
        labels.append(annotations.labels[kept])
        image.append(np.full(len(kept), i))
    if not any(len(some) for some in labels):
        boxes, labels, image = [np.zeros((1, 4))], [np.array([-1])], [np.array([0])]
    return _Loaded(
        _read_pixels(split, rows, device),
        *(
            _to_device(array, device)
            for array in (
                split.sizes_px[rows],
                np.concatenate(boxes).astype(np.float32),
                np.concatenate(labels),
                np.concatenate(image),
            )
        ),
    )


def _read_pixels(split: CachedSplit, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    is_cuda = device.type == "cuda"
    if is_cuda and isinstance(split.images, JpegImages):
        # Copied, as torch wants memory that it could write.
        encoded = [torch.from_numpy(jpeg.copy()) for jpeg in split.images.encoded(rows)]
        stacked = torch.stack(decode_jpeg(encoded, ImageReadMode.RGB, device)).permute(0, 2, 3, 1).contiguous()
        # torchvision decodes on a stream of its own, which does not wait for this one: before it gets the memory of
        # these images again, they must have been copied. Nobody but this thread waits.
        torch.cuda.current_stream(device).synchronize()
        return stacked
    size = split.image_size_px
    pixels = torch.empty((len(rows), size, size, 3), dtype=torch.uint8, pin_memory=is_cuda)
    split.images.read(rows, pixels.numpy())
    return pixels.to(device, non_blocking=True)


def _to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def normalise(pixels: Tensor, sizes_px: Tensor) -> Tensor:
    """Turn (B, S, S, 3) bytes into (B, 3, S, S) float32, channels last; black beyond `sizes_px` becomes zero.

    Args:
        pixels: uint8 RGB.
        sizes_px: (B, 2) height and width of each image without its padding.
    """
    num_images, size = pixels.shape[:2]
    # A row of pixels is taken as one vector of 3 S values: operators are many times slower on vectors of three.
    scale, shift, places = _row_constants(size, pixels.device)
    is_row = (places < sizes_px[:, :1]).float()[:, :, None]
    shift_of = ((places < sizes_px[:, 1:]).float().repeat_interleave(3, dim=1) * shift)[:, None]
    normal = pixels.view(num_images, size, 3 * size).float().mul_(scale).addcmul_(is_row, shift_of)
    return normal.view(num_images, size, size, 3).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _row_constants(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a row of pixels is multiplied with, what is added to it, and the number of each pixel."""
    mean, std = torch.tensor(_MEAN) * 255, torch.tensor(_STD) * 255
    return (1 / std).repeat(size).to(device), (-mean / std).repeat(size).to(device), torch.arange(size, device=device)


def training_rows(rows: NDArray[np.int64], batch_size: int, num_steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield `num_steps` batches of rows; every image comes once before any comes again.

    The order of epoch e depends on the seed and e alone.
    """
    num_rows = len(rows)
    epoch, order = -1, rows
    for step in range(num_steps):
        epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), num_rows)
        batch = []
        for e in np.unique(epochs):
            if e != epoch:
                epoch, order = e, np.random.default_rng([seed, e]).permutation(rows)
            batch.append(order[places[epochs == e]])
        yield np.concatenate(batch)
