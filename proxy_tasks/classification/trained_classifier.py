"""A trained classifier: a network of a file, ready to say what pictures show, and its figures on a data set."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.base import BadDataError, Report
from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.classifier_file import ClassifierInfo, read_classifier
from proxy_tasks.classification.scoring import classify_all, score
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import Native
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.layers import set_norm_epsilon
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.torch_file import first_difference
from proxy_tasks.networks.trained_file import WhichWeights
from proxy_tasks.runtime import keep_freed_memory, pick_device, uses_bf16


class TrainedClassifier(nn.Module):
    """A network in inference mode with all that its file says of it.

    Attributes:
        network: maps (B, 3, H, W) normalised images to (B, K) logits.
        info: what it is.
        bf16: whether convolutions are computed in bfloat16.
    """

    def __init__(self, network: nn.Module, info: ClassifierInfo, *, bf16: bool = False) -> None:
        super().__init__()
        self.network, self.info, self.bf16 = network, info, bf16

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K) logits for (B, 3, H, W) normalised images."""
        logits: Tensor = self.network(images)
        return logits


def load_classifier(
    file: Path, *, device: str = "auto", weights: WhichWeights | None = None, precision: Precision = "auto"
) -> TrainedClassifier:
    """Return the trained classifier of a file, in inference mode.

    Args:
        file: the file, by habit `classifier.pt` in the folder of the training.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        weights: `averaged` or `raw`; None for those that the file's metrics are of.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: no such file or device; a file that is damaged, newer, lacks these weights or holds those of another
            network.
    """
    target = pick_device(device)
    info, states = read_classifier(file)
    which = weights or info.weights
    if which not in states:
        raise InputError(f"{file} holds no {which} weights, there are {' and '.join(states)}")

    # Without memory at first: a scale may be of any size, and fresh weights would be drawn for nothing.
    try:
        with torch.device("meta"):
            network = build_network(
                info.architecture,
                info.scale,
                head="classifier",
                num_classes=len(info.class_names),
                reference=info.reference,
            )
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    difference = first_difference(states[which], network)
    if difference is not None:
        raise InputError(f"{file} holds weights of another network than it says: {difference}")

    network.load_state_dict(states[which], assign=True)
    set_norm_epsilon(network, info.norm_epsilon)
    keep_freed_memory()
    classifier = TrainedClassifier(network, info, bf16=uses_bf16(precision, target.type))
    return classifier.to(target).to(memory_format=torch.channels_last).eval()


class ClassFigures(NamedTuple):
    """The figures of one class: the number of its images, and how many of them are right, as fractions."""

    name: str
    num_images: int
    top1: float
    top5: float


class ClassifierScores(NamedTuple):
    """The figures of a classifier on a data set.

    Attributes:
        metrics: top-1 and top-5 over all images, fractions in [0, 1].
        classes: each class of the data that has images.
        num_images: images that it was scored on.
        num_listed: images that there are, some of which may be unusable.
    """

    metrics: dict[str, float]
    classes: tuple[ClassFigures, ...]
    num_images: int
    num_listed: int


def score_classifier(
    classifier: TrainedClassifier, folder: CocoFolder, *, cache_dir: Path, cache_format: Native, report: Report
) -> ClassifierScores:
    """Score a classifier on the validation images of a folder, which are cached first where they are not yet.

    Args:
        classifier: the classifier; all of its classes compete, those that the data has not too.
        folder: the data.
        cache_dir: folder for the cache of images.
        cache_format: its format, which full trainings share.
        report: called while images are cached and looked at.

    Raises:
        InputError: the data cannot be used, or has classes that the classifier does not know.
    """
    info = classifier.info
    key = folder.cache_key("val", info.scale.image_size_px, cache_format, cache_dir)
    name = str(key.image_dir)

    def check(annotations: Annotations) -> None:
        # Before any image is decoded, which takes minutes.
        labels_of(annotations, name)
        classes_of(info, annotations, name)

    split = cached_split(key, report, check)
    try:
        answers = classify_all(
            classifier.network,
            split,
            np.arange(split.annotations.num_images),
            bf16=classifier.bf16,
            classes=classes_of(info, split.annotations, name),
            normalisation=info.normalisation,
            report=report,
        )
    except BadDataError as error:
        raise InputError(str(error)) from None

    figures = []
    for label, class_name in enumerate(split.annotations.category_names):
        ranks = answers.ranks[answers.labels == label]
        if len(ranks):
            figures.append(ClassFigures(class_name, len(ranks), float((ranks < 1).mean()), float((ranks < 5).mean())))
    return ClassifierScores(score([answers]), tuple(figures), len(answers.ranks), len(split.listed_ids))


def classes_of(info: ClassifierInfo, annotations: Annotations, name: str) -> NDArray[np.int64]:
    """Return (L,) the class of a classifier that each label of some data is, by their names.

    Raises:
        InputError: the data has a class that the classifier does not know.
    """
    known = {class_name: k for k, class_name in enumerate(info.class_names)}
    unknown = [class_name for class_name in annotations.category_names if class_name not in known]
    if unknown:
        first = ", ".join(info.class_names[:3])
        raise InputError(
            f"{name}: {info.name} has no class {unknown[0]} ({len(unknown)} of {len(annotations.category_names)} are "
            f"unknown to it); it has {len(known)}, as {first}"
        )
    return np.array([known[class_name] for class_name in annotations.category_names], np.int64)
