"""Agreement: how far the outputs of an exported file lie from those of its network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from proxy_tasks.exporting.boxes import DetectorWithBoxes
from proxy_tasks.exporting.kept import DetectorWithKept
from proxy_tasks.exporting.same_boxes import difference_of_kept
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.networks.onnx_file import difference_of, have_same_forms

_SEED = 1
_CONTRASTS = tuple(4.0**power for power in range(7))
"""Factors of the noise, tried until a detector that suppresses boxes finds some.

Scores that training has hardly moved stand out at the last alone."""
_NUM_COMPARED = 256
"""Boxes that are looked up together among those of all anchors."""


@torch.no_grad()
def random_batches(subject: Subject, batch_sizes: Sequence[int]) -> list[tuple[Tensor, ...]]:
    """Return the inputs of a network for batches of noise, as normalised images are distributed.

    Where it takes images of several sizes, each batch has another one.
    Where it reads the sizes of images, those are random too, and noise of a contrast at which it finds something in
    each batch, if there is one.
    """
    size, step = subject.image_size_px, subject.size_step_px or 0
    generator = torch.Generator().manual_seed(_SEED)
    noises = [
        torch.randn(num, 3, size + i * step, size + 2 * i * step, generator=generator)
        for i, num in enumerate(batch_sizes)
    ]
    network = subject.network
    if not isinstance(network, DetectorWithKept):
        return [(noise,) for noise in noises]

    shares = [torch.rand(num, 2, generator=generator) for num in batch_sizes]
    sizes_px = [(size * (1 + share) / 2).ceil() for share in shares]  # (B, 2) each, at least half of the square
    batches: list[tuple[Tensor, ...]] = []
    for contrast in _CONTRASTS:
        batches = [(_padded(noise * contrast, sizes), sizes) for noise, sizes in zip(noises, sizes_px, strict=True)]
        if all(int(network(*inputs)[-1].sum()) for inputs in batches):
            break
    return batches


@torch.no_grad()
def largest_difference(
    subject: Subject, batches: Sequence[tuple[Tensor, ...]], answers: Sequence[tuple[Tensor, ...]]
) -> float:
    """Return the largest difference of outputs to those of the network, relative to the largest value where above 1.

    Infinity where shapes or types differ, or something is not a number. Boxes that are left by suppression are compared
    with those that `detect` keeps.

    Args:
        subject: the network.
        batches: its inputs.
        answers: the file's outputs for each batch.
    """
    largest = 0.0
    for inputs, answer in zip(batches, answers, strict=True):
        wanted = tuple(subject.network(*inputs))
        # Python's max can pass over what is not a number.
        are_finite = all(bool(value.isfinite().all()) for value in (*wanted, *answer))
        if not are_finite or not have_same_forms(wanted, answer):
            return float("inf")

        match subject.network:
            case DetectorWithKept() as network:
                difference = difference_of_kept(network, inputs, answer)
            case DetectorWithBoxes() as network:
                # Which of two equal scores comes first is no matter: a box is right where an anchor has it.
                of_boxes = _distance_of_boxes(network, inputs[0], answer)
                difference = max(of_boxes, difference_of(wanted[2:], answer[2:]))
            case _:
                difference = difference_of(wanted, answer)
        largest = max(largest, difference)
    return largest


def are_equal(subject: Subject, batches: Sequence[tuple[Tensor, ...]], answers: Sequence[tuple[Tensor, ...]]) -> bool:
    """Return whether outputs are those of the network to the last bit."""
    with torch.no_grad():
        wanted = [tuple(subject.network(*inputs)) for inputs in batches]
    return all(
        len(want) == len(answer) and all(map(torch.equal, want, answer))
        for want, answer in zip(wanted, answers, strict=True)
    )


def _padded(images: Tensor, sizes_px: Tensor) -> Tensor:
    """Return (B, 3, S, S) images that are zero beyond their sizes."""
    pixels = torch.arange(images.shape[-1])
    inside = pixels < sizes_px[..., None]  # (B, 2, S)
    return images * (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]


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
    return worst
