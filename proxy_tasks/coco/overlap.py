"""Pictures that are in the training set and in the validation set, by their content."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from foundation import InputError, printable
from proxy_tasks.coco.cache_files import CacheKey
from proxy_tasks.coco.image_names import name_below
from proxy_tasks.coco.layouts.json_layouts import file_names
from proxy_tasks.coco.sources import NO_CONTENT, Sources, content_hash, read_sources


def shared_pictures(in_train: Sources, val: CacheKey) -> tuple[tuple[str, str], ...]:
    """Return the pictures that both sets have, the name in each.

    Where the validation set is prepared too, the content of all pictures is on record. Else it has not been read, and
    pictures of equal names are compared, which takes a moment.

    Args:
        in_train: pictures of the training set.
        val: the validation set.

    Raises:
        InputError: its annotations cannot be read.
    """
    in_val = read_sources(val.source_record(val.fingerprint()))
    if in_val is None:
        return _of_equal_names(in_train, val)

    names = dict(zip(_contents(in_train), in_train.file_names, strict=True))
    names.pop(NO_CONTENT, None)
    pairs = zip(_contents(in_val), in_val.file_names, strict=True)
    return tuple((names[content], name) for content, name in pairs if content in names)


def overlap_lines(in_train: Sources, val: CacheKey) -> tuple[str, ...]:
    """Return a line on pictures that both sets have, none where there are none; see `shared_pictures`."""
    shared = shared_pictures(in_train, val)
    if not shared:
        return ()
    train_name, val_name = shared[0]
    line = (
        f"pictures that are in both sets: {len(shared)}, as {val_name} ({train_name} in the training set); AP on the "
        "validation set will be too high"
    )
    return (printable(line),)


def _contents(sources: Sources) -> list[bytes]:
    return [row.tobytes() for row in sources.sha256]


def _of_equal_names(in_train: Sources, val: CacheKey) -> tuple[tuple[str, str], ...]:
    """Return the pictures of equal names and equal content."""
    contents = _contents(in_train)
    # Names that are equal but for their folders, as a/1.jpg and b/1.jpg, are those of several pictures.
    by_name: dict[str, dict[bytes, str]] = {}
    for name, content in zip(in_train.file_names, contents, strict=True):
        by_name.setdefault(PurePath(name).name, {})[content] = name

    shared = []
    for name in _names_in(val):
        of_this_name = by_name.get(PurePath(name).name)
        if of_this_name is None:
            continue
        found = _content_of(val.image_dir / name)
        if found is not None and found in of_this_name:
            shared.append((of_this_name[found], name))
    return tuple(shared)


def _content_of(file: Path) -> bytes | None:
    try:
        return content_hash(file)
    except OSError:
        return None


def _names_in(val: CacheKey) -> Sequence[str]:
    try:
        names = [name_below(val.image_dir, name) for name in file_names(val.annotation_file)]
    except OSError as error:
        raise InputError(f"cannot read {val.annotation_file}: {error.strerror}") from None
    return [name for name in names if name is not None]
