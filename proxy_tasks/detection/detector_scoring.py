"""Scoring a trained detector on the validation set of COCO-format data."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.base import BadDataError, Report
from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations
from proxy_tasks.coco.cache import cached_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import Native
from proxy_tasks.detection.detector import Detector
from proxy_tasks.detection.detector_file import Category
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import METRIC_NAMES, score

_NUM_NAMED = 3


class ClassScore(NamedTuple):
    """Average precision of one class.

    Attributes:
        category: the class, as the data has it.
        num_objects: objects of it that are counted, without crowds.
        ap: average precision, -1 where there is no object.
    """

    category: Category
    num_objects: int
    ap: float


class DetectorScores(NamedTuple):
    """The figures of a detector on a data set.

    Attributes:
        metrics: COCO's twelve figures.
        classes: each class of the data.
        num_images: images that it was scored on.
        num_listed: images that the annotation file lists, some of which may be unusable.
        num_unscored: classes of the detector that the data has not, which were not looked for.
    """

    metrics: dict[str, float]
    classes: tuple[ClassScore, ...]
    num_images: int
    num_listed: int
    num_unscored: int


def score_detector(
    detector: Detector,
    folder: CocoFolder,
    *,
    cache_dir: Path,
    cache_format: Native,
    report: Report,
) -> DetectorScores:
    """Score a detector on the validation set of a folder, whose images are decoded first where they are not yet.

    Args:
        detector: the detector.
        folder: the data.
        cache_dir: folder for the cache of images.
        cache_format: its format, which full trainings share.
        report: called while images are cached and looked at.

    Raises:
        InputError: the data cannot be used, has classes that the detector does not know, or nothing to find.
    """
    key = folder.cache_key("val", detector.info.scale.image_size_px, cache_format, cache_dir)

    def check(annotations: Annotations) -> None:
        # Before any image is decoded, which takes minutes.
        labels_of_classes(detector.info.categories, annotations, detector.info.name, key.annotation_file)
        if annotations.is_crowd.all():
            raise InputError(f"{key.annotation_file}: no image has a box, so there is no AP")

    split = cached_split(key, report, check)
    labels = labels_of_classes(detector.info.categories, split.annotations, detector.info.name, key.annotation_file)
    rows = np.arange(split.annotations.num_images)
    try:
        found = detect_all(
            detector.network,
            detector.anchors_xyxy,
            split,
            rows,
            bf16=detector.bf16,
            labels_of_classes=labels,
            counts_last_pixel=detector.info.counts_last_pixel,
            candidates_per_class=detector.info.candidates_per_class,
            report=report,
        )
    except BadDataError as error:
        raise InputError(str(error)) from None

    figures = score(split.annotations, rows, found, per_class=True)
    return DetectorScores(
        metrics={name: figures[name] for name in METRIC_NAMES},
        classes=_class_scores(split.annotations, figures),
        num_images=len(rows),
        num_listed=len(split.listed_ids),
        num_unscored=int((labels < 0).sum()) - len(detector.info.unused_classes),
    )


def labels_of_classes(
    categories: Sequence[Category], annotations: Annotations, detector_name: str, file: Path
) -> NDArray[np.int64]:
    """Return (K,) the label in the annotations that each class of a detector is, -1 for a class that is not there.

    Raises:
        InputError: the data has a category that the detector does not know; the message names the classes of both.
    """
    known = {category.id: category.name for category in categories if category.name != NO_CATEGORY}
    asked = dict(zip(annotations.category_ids, annotations.category_names, strict=True))

    for number, name in asked.items():
        if known.get(number) != name:
            instead = f"is {known[number]!r} to it" if number in known else "is unknown to it"
            raise InputError(
                f"{detector_name} finds {_listed(known.values())}, {file} has {_listed(asked.values())}: "
                f"category {number}, {name!r}, {instead}"
            )

    label = {number: k for k, number in enumerate(annotations.category_ids)}
    return np.array([label.get(category.id, -1) for category in categories], np.int64)


def _class_scores(annotations: Annotations, figures: dict[str, float]) -> tuple[ClassScore, ...]:
    """Return the classes in the order of their ids, which is that of the figures."""
    counts = np.bincount(annotations.labels[~annotations.is_crowd], minlength=len(annotations.category_ids))
    aps = [value for name, value in figures.items() if name.startswith("ap/")]
    columns = zip(annotations.category_ids, annotations.category_names, counts.tolist(), aps, strict=True)
    return tuple(ClassScore(Category(number, name), count, ap) for number, name, count, ap in columns)


def _listed(names: Collection[str]) -> str:
    """Return how many classes there are, with the first of them."""
    first = ", ".join(list(names)[:_NUM_NAMED])
    more = ", ..." if len(names) > _NUM_NAMED else ""
    return f"{len(names)} class{'es' if len(names) != 1 else ''} ({first}{more})"
