"""The figures of a trained classifier on a data set: top-1 and top-5 over all images, and of each class."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.base import BadDataError, Report
from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.classifier_file import ClassifierInfo
from proxy_tasks.classification.image_classifier import ImageClassifier
from proxy_tasks.classification.scoring import classify_all, score
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import Native


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
    classifier: ImageClassifier, folder: CocoFolder, *, cache_dir: Path, cache_format: Native, report: Report
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
            unused_classes=info.unused_classes,
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
    known = {class_name: k for k, class_name in enumerate(info.class_names) if k not in info.unused_classes}
    unknown = [class_name for class_name in annotations.category_names if class_name not in known]
    if unknown:
        first = ", ".join(list(known)[:3])
        raise InputError(
            f"{name}: {info.name} has no class {unknown[0]} ({len(unknown)} of {len(annotations.category_names)} are "
            f"unknown to it); it has {len(known)}, as {first}"
        )
    return np.array([known[class_name] for class_name in annotations.category_names], np.int64)
