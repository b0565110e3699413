"""Agreement: how far the outputs of an exported file lie from those of its network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from proxy_tasks.exporting.boxes import DetectorWithBoxes
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.networks.onnx_file import difference_of, have_same_forms

_SEED = 1
_NUM_COMPARED = 256
"""Boxes that are looked up together among those of all anchors."""


def random_batches(image_size_px: int, batch_sizes: Sequence[int]) -> list[Tensor]:
    """Return batches of noise, as normalised images are distributed."""
    generator = torch.Generator().manual_seed(_SEED)
    return [torch.randn(size, 3, image_size_px, image_size_px, generator=generator) for size in batch_sizes]


@torch.no_grad()
def largest_difference(subject: Subject, batches: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]) -> float:
    """Return the largest difference of outputs to those of the network, relative to the largest value where above 1.

    Infinity where shapes or types differ, or something is not a number.

    Args:
        subject: the network.
        batches: images.
        answers: the file's outputs for each batch.
    """
    largest = 0.0
    for images, answer in zip(batches, answers, strict=True):
        wanted = tuple(subject.network(images))
        if not have_same_forms(wanted, answer):
            return float("inf")

        if isinstance(subject.network, DetectorWithBoxes):
            # Which of two equal scores comes first is no matter: a box is right where an anchor has it.
            largest = max(largest, _distance_of_boxes(subject.network, images, answer))
            wanted, answer = wanted[2:], answer[2:]
        largest = max(largest, difference_of(wanted, answer))
    return largest


def are_equal(subject: Subject, batches: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]) -> bool:
    """Return whether outputs are those of the network to the last bit."""
    with torch.no_grad():
        wanted = [tuple(subject.network(images)) for images in batches]
    return all(
        len(want) == len(answer) and all(map(torch.equal, want, answer))
        for want, answer in zip(wanted, answers, strict=True)
    )


def _distance_of_boxes(network: DetectorWithBoxes, images: Tensor, answer: Sequence[Tensor]) -> float:
    """Return how far the worst box with its score lies from the nearest that any anchor has for its class."""
    all_boxes, all_scores = network.all_boxes(network.raw(images))  # (B, A, 4), (B, A, K)
    size = images.shape[-1]

    worst = 0.0
    for image, (boxes, labels, scores) in enumerate(zip(*answer, strict=True)):
        for start in range(0, len(boxes), _NUM_COMPARED):
            some = slice(start, start + _NUM_COMPARED)
            of_box = torch.cdist(boxes[some] / size, all_boxes[image] / size, p=torch.inf)  # (N, A)
            of_score = (scores[some, None] - all_scores[image][:, labels[some]].T).abs()  # (N, A)
            nearest = torch.maximum(of_box, of_score).amin(dim=1)  # (N,)
            worst = max(worst, float(nearest.max()))
    return worst if worst == worst else float("inf")
