"""Top-1 and top-5 of a classifier: how many classes it holds for likelier than the true one, image by image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from proxy_tasks.base import Report, silent
from proxy_tasks.classification.crops import center_crop, take_crop
from proxy_tasks.classification.labelled import LabelledImages, normalised, read_labelled
from proxy_tasks.coco.batches import IMAGENET, Normalisation
from proxy_tasks.coco.cache import CachedSplit

_BATCH_SIZE = 32


class Answers(NamedTuple):
    """The answers of a classifier for N images.

    Attributes:
        labels: (N,) class of each in the data.
        ranks: (N,) number of classes that it holds for likelier than the true one; 0 where it is right.
    """

    labels: NDArray[np.int64]
    ranks: NDArray[np.int64]


@torch.inference_mode()
def classify_all(
    network: nn.Module,
    split: CachedSplit,
    rows: NDArray[np.int64],
    *,
    bf16: bool,
    classes: NDArray[np.int64] | None = None,
    unused_classes: Sequence[int] = (),
    normalisation: Normalisation = IMAGENET,
    report: Report = silent,
) -> Answers:
    """Classify some images of a split by the square in their middle; the network is left in inference mode.

    Args:
        network: maps (B, 3, S, S) images to (B, K) logits.
        split: images with one class each, in a cache of native size.
        rows: the images to look at.
        bf16: compute convolutions in bfloat16.
        classes: class of the network that each label of the data is; None where they are the same.
        unused_classes: classes of the network that are never found.
        normalisation: of the input.
        report: called after each batch of images.

    Raises:
        BadDataError: the images cannot be read.
    """
    device = next(network.parameters()).device
    chunks = [rows[start : start + _BATCH_SIZE] for start in range(0, len(rows), _BATCH_SIZE)]
    labels, ranks = [], []

    network.eval()
    num_done = 0
    for chunk, part in zip(chunks, read_labelled(split, chunks, device), strict=True):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(middle_squares(part, normalisation)).float().cpu().numpy()  # (B, K)
        logits[:, list(unused_classes)] = -np.inf

        own = part.labels.cpu().numpy()
        labels.append(own)
        ranks.append(ranks_of(logits, own if classes is None else classes[own]))
        num_done += len(chunk)
        report("looking at images", num_done, len(rows))
    return Answers(np.concatenate(labels), np.concatenate(ranks))


def middle_squares(part: LabelledImages, normalisation: Normalisation = IMAGENET) -> Tensor:
    """Return the square in the middle of each of B images, (B, 3, S, S), normalised."""
    squares = [take_crop(image, center_crop(*image.shape[:2]), part.image_size_px) for image in part.images]
    return normalised(squares, normalisation)


def ranks_of(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (B,) the place of each image's true class in (B, K) logits, 0 for the first; of equal ones the last."""
    true = np.take_along_axis(logits, classes[:, None], axis=1)  # (B, 1)
    # What is no number is right about nothing.
    not_below: NDArray[np.int64] = (~(logits < true)).sum(axis=1)  # (B,)
    return not_below - 1


def score(answers: Sequence[Answers]) -> dict[str, float]:
    """Return top-1 and top-5, fractions in [0, 1]."""
    ranks = np.concatenate([part.ranks for part in answers])
    return {"top1": float((ranks < 1).mean()), "top5": float((ranks < 5).mean())}
