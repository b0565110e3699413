"""Checkpoints found by any of their names: their prefix, one of their files, or the folder that holds them."""

import re
from pathlib import Path

from foundation import InputError, short_path

_FILE_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_LAST = re.compile(r'^model_checkpoint_path: "(?P<path>[^"\n]+)"', re.M)
_STATE = "checkpoint"
"""The file that names the last checkpoint of its folder."""
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def checkpoint_prefix(path: Path) -> Path:
    """Return the path that a checkpoint's files have in common.

    Of a folder it is the one that the file `checkpoint` in it names, or the only one there.

    Raises:
        InputError: there is none there, or there are several, or not the one that is named.
    """
    if path.is_dir():
        return _prefix_in(path)
    if path.name == _STATE and path.is_file():
        return _prefix_in(path.parent)
    if path.name.endswith(_ARCHIVES):
        raise InputError(f"{short_path(path)} is an archive: unpack it, and name the folder that it gives")

    prefix = path.with_name(_FILE_SUFFIX.sub("", path.name))
    if not _index(prefix).is_file():
        near = _prefixes(prefix.parent)
        there = f"; there are {', '.join(one.name for one in near[:3])}" if near else ""
        raise InputError(f"{short_path(prefix)} is no checkpoint: {_index(prefix).name} is not there{there}")
    return prefix


def _prefix_in(folder: Path) -> Path:
    """Return the prefix of the checkpoint in a folder."""
    found = _prefixes(folder)
    try:
        named = _LAST.search((folder / _STATE).read_text(errors="replace"))
    except OSError:
        named = None

    # The path is that of the machine which wrote it, so its last part alone counts.
    last = folder / Path(named["path"]).name if named else None
    if last is not None and last in found:
        return last
    if last is not None and found:
        raise InputError(
            f"{short_path(folder / _STATE)} names {last.name}, which is not there: the archive may have been cut. "
            f"There is {found[0].name}: name it, if that is meant"
        )
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{short_path(folder)} holds no checkpoint, which has a file that ends in .index")
    raise InputError(
        f"{short_path(folder)} holds {len(found)} checkpoints: name one, as checkpoint={short_path(found[0])}"
    )


def _prefixes(folder: Path) -> list[Path]:
    # Archives from a Mac hold a hidden file beside each file.
    return sorted(file.with_suffix("") for file in folder.glob("*.index") if not file.name.startswith("."))


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")
