"""The data of a training: its splits opened, checked and described."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, assert_never, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.base import Report, silent
from proxy_tasks.coco.annotations import MAX_BOXES, Annotations, check_id_labels, num_beyond_bound, with_id_labels
from proxy_tasks.coco.cache import (
    CachedSplit,
    cached_split,
    check_cache,
    existing_split,
    preparing_command,
    recorded_content,
    with_masks,
)
from proxy_tasks.coco.cache_files import CacheKey, SplitContent
from proxy_tasks.coco.description import describe_split
from proxy_tasks.coco.folder import CocoFolder, SplitName
from proxy_tasks.coco.held_out import held_out_count, recorded_split, split_held_out
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.mask_file import check_names_masks
from proxy_tasks.coco.masks import MAX_MASKS, num_masks_beyond_bound, num_scored_masks
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.overlap import overlap_lines
from proxy_tasks.coco.resized import resized
from proxy_tasks.coco.sources import read_sources

ScoreOn: TypeAlias = Literal["held_out", "val"]
Classes: TypeAlias = Literal["dense", "ids"]


@runtime_checkable
class Data(Protocol):
    """A source of a COCO folder, made on the spot or already there."""

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder; make it first if need be."""
        ...


@dataclass(frozen=True, slots=True)
class DataContent:
    """The content of the splits that a task uses, wherever they lie.

    Attributes:
        train: of the training set.
        val: of the validation set; None where the task does not use it.
    """

    train: SplitContent
    val: SplitContent | None = None

    def parts(self) -> dict[str, str]:
        """Return the hash of each part, by a name that a person understands."""
        splits = {"training": self.train, "validation": self.val}
        parts: dict[str, str] = {}
        for name, split in splits.items():
            if split is not None:
                parts |= {f"{name} annotations": split.annotations, f"{name} images": split.images}
        return parts

    def of(self, name: SplitName) -> SplitContent | None:
        """Return the content of one split."""
        return self.train if name == "train" else self.val


@dataclass(frozen=True, slots=True)
class DataOptions:
    """The options of a task that decide which data it uses; see `TrainedProxy` and `DetectionProxy` for the first ones.

    Attributes:
        with_masks: read the masks of objects too.
        check: called with the annotations of each split, and with the name of their file, before any image is decoded;
            raises `InputError` where they are not what is needed.
    """

    data: Data
    image_size_px: int
    score_on: ScoreOn
    classes: Classes
    cache_dir: Path
    cache_format: Format | Native
    content: DataContent | None
    with_masks: bool = False
    check: Callable[[Annotations, str], object] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OpenData:
    """The splits that a task uses.

    Attributes:
        train: images to train on and, among them, those held out.
        train_rows: (T,) the images of `train` that are trained on, shuffled.
        held_out_rows: (H,) the images of `train` that are held out for the reward.
        num_to_score: the images that AP is to be measured on; some of them may be unusable.
        val: the validation images; None where the task does not use them.
    """

    train: CachedSplit
    train_rows: NDArray[np.int64]
    held_out_rows: NDArray[np.int64]
    num_to_score: int
    val: CachedSplit | None

    @property
    def num_classes(self) -> int:
        """K, the classes that a network of the task tells apart."""
        return len(self.train.annotations.category_ids)

    @property
    def full_train_rows(self) -> NDArray[np.int64]:
        """The images of a full training: those held out for a search too, where the validation set is scored."""
        return self.train_rows if self.val is None else np.arange(self.train.annotations.num_images)

    @property
    def lacks_scored_images(self) -> bool:
        """True where AP is measured on fewer images than it is to be, as some cannot be used."""
        return len(self.scored_rows) < self.num_to_score

    @property
    def scored(self) -> CachedSplit:
        """The split that AP is measured on."""
        return self.train if self.val is None else self.val

    @property
    def scored_rows(self) -> NDArray[np.int64]:
        """The images of `scored` that AP is measured on."""
        return self.held_out_rows if self.val is None else np.arange(self.val.annotations.num_images)

    def at_size(self, image_size_px: int) -> "OpenData":
        """Return the data as it is read at an image size.

        Raises:
            ValueError: the caches hold smaller images.
        """
        val = None if self.val is None else resized(self.val, image_size_px)
        return replace(self, train=resized(self.train, image_size_px), val=val)


def prepare_data(
    options: DataOptions, report: Report, summary: Callable[[OpenData], tuple[str, ...]] = lambda data: ()
) -> tuple[str, ...]:
    """Make the caches that are missing, or made of other images than there are now, and describe the data.

    Args:
        options: which data.
        report: called while caches are made.
        summary: returns lines of the caller's own on the data.

    Raises:
        InputError: the data cannot be used.
    """
    folder = options.data.folder(report)
    data = _read_splits(options, folder, report)

    lines = [
        *describe_split("train", data.train),
        f"{len(data.train_rows)} images to train on, {len(data.held_out_rows)} held out for the reward",
    ]

    num_beyond = num_beyond_bound(data.train.annotations, data.train_rows)
    if num_beyond:
        lines.append(f"  {num_beyond} boxes not trained on: they are beyond the first {MAX_BOXES} of their image")
    if data.train.masks is not None:
        num_beyond = num_masks_beyond_bound(data.train.annotations, data.train.masks, data.train_rows)
        if num_beyond:
            lines.append(f"  {num_beyond} masks not trained on: they are beyond the first {MAX_MASKS} of their image")

    lines += summary(data)
    if data.val is None:
        lines.append(_why_not_val(folder))
    else:
        lines += describe_split("val", data.val)
    lines += _overlap(options, folder, data.train)
    if data.lacks_scored_images:
        num_scored = len(data.scored_rows)
        lines.append(f"{num_scored} of {data.num_to_score} images are scored: the others cannot be used")
    return tuple(lines)


def prepared_content(options: DataOptions) -> DataContent:
    """Return the content of the data that `prepare_data` has just found.

    Raises:
        InputError: it was never called, or the data is not there.
    """
    folder = options.data.folder(silent)
    train = _prepared_split(options, folder, "train")
    val = _prepared_split(options, folder, "val") if options.score_on == "val" else None
    return DataContent(train, val)


def verify_data(options: DataOptions, report: Report) -> None:
    """Compare the checksums of all images of the splits in use.

    Raises:
        InputError: a cache is missing, or an image in it is damaged.
    """
    data = _read_splits(options, options.data.folder(silent), None)
    check_cache(data.train, report)
    if data.val is not None:
        check_cache(data.val, report)


@lru_cache(maxsize=2)
def open_data(options: DataOptions) -> OpenData:
    """Open the data, labelled as the task's classes are; it stays open between the trials of one process.

    Raises:
        InputError: the data is not there, or what `prepare_data` makes is missing or damaged.
    """
    data = _read_splits(options, options.data.folder(silent), None)
    match options.classes:
        case "dense":
            return data
        case "ids":
            val = None if data.val is None else _labelled_by_id(data.val)
            return replace(data, train=_labelled_by_id(data.train), val=val)
        case _:
            assert_never(options.classes)


def _read_splits(options: DataOptions, folder: CocoFolder, report: Report | None) -> OpenData:
    """Open the splits in use; make caches that are missing only where a `report` is given."""

    def check_val(val: Annotations) -> None:
        _check_objects(options, folder.paths("val")[0], val)
        _check_scored(folder.paths("val")[0], val, np.arange(val.num_images))

    def check_train(train: Annotations) -> None:
        _check_objects(options, folder.paths("train")[0], train)
        _, held_out = split_held_out(train.num_images, folder.num_held_out, folder.split_seed)
        if val is None:
            _check_scored(folder.paths("train")[0], train, held_out)
        else:
            folder.check_categories(train, val.annotations)

    # What can be wrong with annotations is looked at before the images are decoded, which may take an hour; so the
    # validation set, the smaller one, comes first.
    val = _open_split(options, folder, "val", report, check_val) if options.score_on == "val" else None
    train = _open_split(options, folder, "train", report, check_train)

    train_rows, held_out_rows = recorded_split(
        train, folder.num_held_out, folder.split_seed, may_choose=report is not None
    )
    num_held_out = held_out_count(len(train.listed_ids), folder.num_held_out)
    num_to_score = num_held_out if val is None else len(val.listed_ids)
    data = OpenData(train, train_rows, held_out_rows, num_to_score, val)

    # Images that cannot be used may have been all of one part.
    if not len(train_rows):
        raise InputError(f"{folder.paths('train')[0]}: none of the images to train on can be used")
    file = folder.paths("train" if val is None else "val")[0]
    _check_scored(file, data.scored.annotations, data.scored_rows)
    masks = data.scored.masks
    if masks is not None and not num_scored_masks(data.scored.annotations, masks, data.scored_rows):
        raise InputError(
            f"{file}: none of the {len(data.scored_rows)} images to score on has an object with a mask, so there is no "
            "mask AP"
        )
    return data


def _open_split(
    options: DataOptions,
    folder: CocoFolder,
    name: SplitName,
    report: Report | None,
    check: Callable[[Annotations], None],
) -> CachedSplit:
    """Open one split; make its cache only where a `report` is given."""
    key = _key(options, folder, name)
    if report is not None:
        split = cached_split(key, report, check)
    else:
        split = existing_split(key, None if options.content is None else options.content.of(name))
        check(split.annotations)
    return with_masks(split, key, report) if options.with_masks else split


def _prepared_split(options: DataOptions, folder: CocoFolder, name: SplitName) -> SplitContent:
    key = _key(options, folder, name)
    content = recorded_content(key)
    if content is None:
        raise InputError(f"{key.image_dir} has not been prepared: run {preparing_command(key)} first")
    return content


def _labelled_by_id(split: CachedSplit) -> CachedSplit:
    return replace(split, annotations=with_id_labels(split.annotations))


def _check_objects(options: DataOptions, file: Path, annotations: Annotations) -> None:
    if options.classes == "ids":
        check_id_labels(annotations.category_ids)
    if options.with_masks:
        check_names_masks(file)
    if options.check is not None:
        options.check(annotations, str(file))


def _check_scored(file: Path, annotations: Annotations, rows: NDArray[np.int64]) -> None:
    """Check that there is something to find in the images that are scored."""
    spans = (slice(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows)
    if not any((~annotations.is_crowd[span]).any() for span in spans):
        raise InputError(f"{file}: none of the {len(rows)} images to score on has a box, so there is no AP")


def _overlap(options: DataOptions, folder: CocoFolder, train: CachedSplit) -> tuple[str, ...]:
    """Return a line on pictures that are in both sets; none where there is no validation set."""
    in_train = read_sources(_key(options, folder, "train").source_record(train.content.annotations))
    try:
        folder.paths("val")
    except InputError:
        return ()
    return () if in_train is None else overlap_lines(in_train, _key(options, folder, "val"))


def _key(options: DataOptions, folder: CocoFolder, name: SplitName) -> CacheKey:
    return folder.cache_key(name, options.image_size_px, options.cache_format, options.cache_dir)


def _why_not_val(folder: CocoFolder) -> str:
    """Return a line that says why the validation set was not prepared."""
    try:
        folder.paths("val")
    except InputError:
        return "val: not there, so not prepared; nas.replay wants it, nas.search does not"
    return "val: not prepared, as the search does not use it; task.score_on=val prepares it for nas.replay"
