"""A cached split at another image size: one cache serves networks whose images are smaller than those it holds."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proxy_tasks.coco.cache import CachedSplit
from proxy_tasks.coco.decode import fitted_sizes
from proxy_tasks.coco.image_store import Images, num_cores
from proxy_tasks.coco.native_images import NativeImages


class ResizedImages:
    """N square images in a smaller size, made of larger ones whenever they are read.

    Args:
        images: the larger ones.
        stored_px: their side.
        stored_sizes_px: (N, 2) height and width of each without its padding.
        sizes_px: (N, 2) height and width that each is to have.
    """

    def __init__(
        self, images: Images, stored_px: int, stored_sizes_px: NDArray[np.int64], sizes_px: NDArray[np.int64]
    ) -> None:
        self._images = images
        self._stored_px = stored_px
        self._stored_sizes_px = stored_sizes_px
        self._sizes_px = sizes_px
        self._threads = ThreadPoolExecutor(num_cores(), "resize")

    def read(self, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Write the images of `rows`, (B,), into `out`, (B, S, S, 3), zeros to the right or below."""
        stored = np.empty((len(rows), self._stored_px, self._stored_px, 3), np.uint8)
        self._images.read(rows, stored)
        out[:] = 0

        def resize(place: int) -> None:
            row = rows[place]
            (stored_height, stored_width), (height, width) = self._stored_sizes_px[row], self._sizes_px[row]
            image = Image.fromarray(stored[place, :stored_height, :stored_width])
            out[place, :height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))

        list(self._threads.map(resize, range(len(rows))))


def resized(split: CachedSplit, image_size_px: int) -> CachedSplit:
    """Return a split as it is read at another image size, without a cache of that size.

    Raises:
        ValueError: the images are larger than those that the cache holds, so that they would show no more.
    """
    if image_size_px == split.image_size_px:
        return split
    original_px = split.annotations.sizes_px
    sizes_px = fitted_sizes(original_px, image_size_px)

    # Images of their own size are fitted as they are read, whatever the size.
    if isinstance(split.images, NativeImages):
        images: Images = split.images.at_size(image_size_px)
    elif image_size_px > split.image_size_px:
        raise ValueError(
            f"scale.image_size_px: {image_size_px} is above the {split.image_size_px} px at which images are cached, "
            "which is the image size of the task's own scale"
        )
    else:
        images = ResizedImages(split.images, split.image_size_px, split.sizes_px, sizes_px)
    scales_xy = (sizes_px / original_px)[:, ::-1]
    return replace(split, images=images, scales_xy=scales_xy, sizes_px=sizes_px, image_size_px=image_size_px)
