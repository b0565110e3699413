"""Scoring a trained detector on the validation set of COCO-format data."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.base import BadDataError, Report
from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations
from proxy_tasks.coco.cache import CachedSplit, cached_split
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.mask_file import check_names_masks
from proxy_tasks.coco.native_images import Native
from proxy_tasks.detection.detector import Detector
from proxy_tasks.detection.detector_file import Category, DetectorInfo
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.scoring import score

_NUM_NAMED = 3


class ClassScore(NamedTuple):
    """Average precision of one class.

    Attributes:
        category: the class, as the data has it.
        num_objects: objects of it that are counted, without crowds.
        ap: average precision, -1 where there is no object.
        mask_ap: the same of masks; None for a detector of boxes alone.
    """

    category: Category
    num_objects: int
    ap: float
    mask_ap: float | None = None


class DetectorScores(NamedTuple):
    """The figures of a detector on a data set.

    Attributes:
        metrics: COCO's twelve figures; of a detector with masks those of masks too.
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


class ScoredSplit(NamedTuple):
    """The images that a detector is scored on.

    Attributes:
        split: the validation set.
        key: of its cache.
        labels_of_classes: (K,) label in the annotations of each class of the detector; see `labels_of_classes`.
    """

    split: CachedSplit
    key: CacheKey
    labels_of_classes: NDArray[np.int64]


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
    scored = open_scored(detector.info, folder, cache_dir=cache_dir, cache_format=cache_format, report=report)
    rows = np.arange(scored.split.annotations.num_images)
    try:
        found = detect_all(
            detector.network,
            detector.anchors_xyxy,
            scored.split,
            rows,
            bf16=detector.bf16,
            labels_of_classes=scored.labels_of_classes,
            counts_last_pixel=detector.info.counts_last_pixel,
            candidates_per_class=detector.info.candidates_per_class,
            report=report,
        )
    except BadDataError as error:
        raise InputError(str(error)) from None
    return scores_of(scored, detector.info, score(scored.split.annotations, rows, found, per_class=True))


def open_scored(
    info: DetectorInfo, folder: CocoFolder, *, cache_dir: Path, cache_format: Native, report: Report
) -> ScoredSplit:
    """Open the validation set of a folder for a detector; see `score_detector`.

    Raises:
        InputError: as there.
    """
    key = folder.cache_key("val", info.scale.image_size_px, cache_format, cache_dir)

    def check(annotations: Annotations) -> None:
        # Before any image is decoded, which takes minutes.
        if info.head == "mask_rcnn":
            check_names_masks(key.annotation_file)
        labels_of_classes(info.categories, annotations, info.name, key.annotation_file)
        if annotations.is_crowd.all():
            raise InputError(f"{key.annotation_file}: no image has a box, so there is no AP")

    split = cached_split(key, report, check)
    labels = labels_of_classes(info.categories, split.annotations, info.name, key.annotation_file)
    return ScoredSplit(split, key, labels)


def scores_of(scored: ScoredSplit, info: DetectorInfo, figures: dict[str, float]) -> DetectorScores:
    """Return the scores of a detector from its figures, those of each class among them."""
    split = scored.split
    return DetectorScores(
        metrics={name: value for name, value in figures.items() if "/" not in name},
        classes=_class_scores(split.annotations, figures),
        num_images=split.annotations.num_images,
        num_listed=len(split.listed_ids),
        num_unscored=int((scored.labels_of_classes < 0).sum()) - len(info.unused_classes),
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
    mask_aps: list[float | None] = [value for name, value in figures.items() if name.startswith("mask_ap/")]
    categories = [Category(*pair) for pair in zip(annotations.category_ids, annotations.category_names, strict=True)]
    columns = zip(categories, counts.tolist(), aps, mask_aps or [None] * len(aps), strict=True)
    return tuple(ClassScore(*column) for column in columns)


def _listed(names: Collection[str]) -> str:
    """Return how many classes there are, with the first of them."""
    first = ", ".join(list(names)[:_NUM_NAMED])
    more = ", ..." if len(names) > _NUM_NAMED else ""
    return f"{len(names)} class{'es' if len(names) != 1 else ''} ({first}{more})"
