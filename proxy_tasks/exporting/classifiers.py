"""Trained classifiers as subjects of an export."""

from pathlib import Path

import torch
from torch import Tensor, nn

from foundation import InputError, short_path
from proxy_tasks.classification.classifier_file import CLASSIFIER, classifier_info_to_json
from proxy_tasks.classification.crops import CENTER_SHARE
from proxy_tasks.classification.image_classifier import load_classifier
from proxy_tasks.exporting.formats import NetworkFormat
from proxy_tasks.exporting.subject import Subject, without_gaps
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.trained_file import WhichWeights, kind_of


class ClassifierOutputs(nn.Module):
    """A classifier whose outputs are a tuple, as those of every network that is exported."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return (B, K) logits for (B, 3, H, W) normalised images, as the one output."""
        return (self.network(images),)


def is_classifier_file(path: Path) -> bool:
    """Return whether a file is that of a trained classifier; False too where it cannot be read."""
    if not path.is_file():
        return False
    try:
        return kind_of(path) == CLASSIFIER.kind
    except InputError:
        return False


def classifier_subject(
    path: Path, image_size_px: int | None, which: WhichWeights | None, formats: tuple[NetworkFormat, ...]
) -> Subject:
    """Return a trained classifier; its output is `logits`.

    Args:
        path: its file.
        image_size_px: side of the images; None for that of its training.
        which: the weights, None for those that the training scored.
        formats: those that it is to be written in.

    Raises:
        InputError: a format that classifiers are not written in, or a file that cannot be used.
    """
    if "python" in formats:
        raise InputError(f"format=python: {short_path(path)} is a classifier, which is written as onnx or pt2")

    classifier = load_classifier(path, device="cpu", weights=which, precision="float32")
    info = classifier.info
    size = image_size_px or info.scale.image_size_px
    return Subject(
        ClassifierOutputs(classifier.network.to(memory_format=torch.contiguous_format)).eval(),
        info.architecture,
        info.scale,
        size,
        ("logits",),
        {
            "input": f"images, float32 (batch, 3, {size}, {size}): RGB, the square in the middle whose side is "
            f"{CENTER_SHARE} of the short side, scaled and normalised by (value / 255 - mean) / std",
            "mean": list(info.normalisation.mean),
            "std": list(info.normalisation.std),
            "weights": which or info.weights,
            "classifier": without_gaps(classifier_info_to_json(info)),
        },
        weights=which or info.weights,
        reference=info.reference,
        norm_epsilon=info.norm_epsilon,
    )
