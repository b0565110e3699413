"""A trained classifier: a module that says what pictures of any size show."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.classification.classifier_file import ClassifierInfo, read_classifier
from proxy_tasks.classification.crops import center_crop, take_crop
from proxy_tasks.classification.labelled import normalised
from proxy_tasks.coco.decode import rgb_of
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.layers import set_norm_epsilon
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.torch_file import first_difference
from proxy_tasks.networks.trained_file import WhichWeights
from proxy_tasks.runtime import keep_freed_memory, pick_device, uses_bf16


class Guess(NamedTuple):
    """A class that an image may show.

    Attributes:
        label: class index.
        name: of the class.
        score: probability of the class, in [0, 1].
    """

    label: int
    name: str
    score: float


class ImageClassifier(nn.Module):
    """A trained network with all that is needed to say what pictures show.

    A worked example:

        classifier = load_classifier("released/classifier-spinenet-49.pt")
        for guess in classifier.classify([Image.open("photo.jpg")])[0]:
            print(guess.name, f"{guess.score:.2f}")

    Attributes:
        info: all that its file says.
        network: the network, which maps (B, 3, S, S) normalised images to (B, K) logits.

    Args:
        network: a trained network, as `info` describes it.
        info: what it is.
        bf16: compute convolutions in bfloat16.

    Source: tensorflow/tpu classification_parser.py and input_utils.py, for the part of an image that is looked at.
    Differs: images are shrunk with antialiasing, which takes the mean over the pixels that become one.
    """

    is_unused: Tensor

    def __init__(self, network: Classifier, info: ClassifierInfo, *, bf16: bool = False) -> None:
        super().__init__()
        self.network, self.info, self.bf16 = network, info, bf16
        is_unused = torch.zeros(len(info.class_names), dtype=torch.bool)  # (K,)
        is_unused[info.unused_classes] = True
        self.register_buffer("is_unused", is_unused, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K) logits of (B, 3, S, S) normalised images."""
        logits: Tensor = self.network(images)
        return logits

    @torch.inference_mode()
    def classify(self, images: Sequence[Image.Image], *, top: int = 5) -> list[list[Guess]]:
        """Return for each image of any size the `top` likeliest classes, likeliest first.

        Raises:
            ValueError: `top` is below 1.
            UnusableImageError: an image cannot be decoded.
        """
        if top < 1:
            raise ValueError(f"top must be 1 or more, got {top}")
        if not images:
            return []

        squares = [self._square(image) for image in images]  # (S, S, 3) each
        self.network.eval()
        with torch.autocast(self.is_unused.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self(normalised(squares, self.info.normalisation))

        scores = logits.float().masked_fill(self.is_unused, -torch.inf).softmax(dim=-1)  # (B, K)
        num_classes = len(self.info.class_names) - len(self.info.unused_classes)
        best, labels = scores.topk(min(top, num_classes), dim=-1)  # (B, top) each
        names = self.info.class_names
        return [
            [Guess(label, names[label], score) for label, score in zip(of_image, scores_of_image, strict=True)]
            for of_image, scores_of_image in zip(labels.tolist(), best.tolist(), strict=True)
        ]

    def _square(self, image: Image.Image) -> Tensor:
        """Return the part of an image that classifiers are scored by, as (S, S, 3) levels."""
        pixels = torch.from_numpy(np.array(rgb_of(image))).to(self.is_unused.device)  # (H, W, 3)
        return take_crop(pixels, center_crop(*pixels.shape[:2]), self.info.scale.image_size_px)


def load_classifier(
    path: Path | str,
    *,
    device: str = "auto",
    weights: WhichWeights | None = None,
    precision: Precision = "auto",
) -> ImageClassifier:
    """Return the trained classifier of a file, in inference mode.

    Args:
        path: the file, by habit `classifier.pt` in the folder of the training.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        weights: `averaged` or `raw`; None for those that the file's metrics are of.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: no such file or device; a file that is damaged, newer, lacks these weights or holds those of another
            network.
    """
    file = Path(path)
    pick_device(device)
    info, states = read_classifier(file)
    which = weights or info.weights
    if which not in states:
        raise InputError(f"{file} holds no {which} weights, there are {' and '.join(states)}")
    state = states[which]

    # Without memory at first: a scale may be of any size, and fresh weights would be drawn for nothing.
    try:
        with torch.device("meta"):
            network = build_classifier(info)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    difference = first_difference(state, network)
    if difference is not None:
        raise InputError(f"{file} holds weights of another network than it says: {difference}")

    network.load_state_dict(state, assign=True)
    return ready_classifier(network, info, device=device, precision=precision)


def build_classifier(info: ClassifierInfo) -> Classifier:
    """Build the network that a file describes.

    Raises:
        InputError: an unknown name of an architecture.
        ValueError: a scale that does not fit.
    """
    network = build_network(
        info.architecture,
        info.scale,
        head="classifier",
        num_classes=len(info.class_names),
        reference=info.reference,
    )
    if not isinstance(network, Classifier):
        raise TypeError(f"expected a Classifier, got {type(network).__name__}")
    return network


def ready_classifier(
    network: Classifier, info: ClassifierInfo, *, device: str, precision: Precision
) -> ImageClassifier:
    """Return a classifier in inference mode, of a network that holds its weights.

    Raises:
        InputError: no such device.
    """
    target = pick_device(device)
    set_norm_epsilon(network, info.norm_epsilon)
    keep_freed_memory()
    classifier = ImageClassifier(network, info, bf16=uses_bf16(precision, target.type))
    return classifier.to(target).to(memory_format=torch.channels_last).eval()
