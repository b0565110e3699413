"""Options that are given in Python, as the arguments of a command line."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

from foundation import InputError, absolute_path
from nas.options.configuration import options_of
from nas.options.text_values import quoted

Folder: TypeAlias = str | PathLike[str]

_NAME = re.compile(r"\w+(\.\w+)*")


def arguments_of(options: Mapping[str, Any] | None, more: Mapping[str, Any]) -> tuple[str, ...]:
    """Return options as a command line has them.

    Text is taken as a command line takes it, so that `"24"` is a number where one is needed.

    Args:
        options: by their whole names, as `controller.population_size`; None for none.
        more: the same, as keywords give them. A mapping holds the options below its name.

    Raises:
        InputError: a name that is none, an option given twice, or a value that no option has.
    """
    if not isinstance(options, Mapping | None):
        raise InputError(
            f"options are given by name, as experiment=\"quickstart\" or {{'task.noise': 0.1}}, got {_shown(options)}"
        )

    given = [one for source in (options or {}, more) for one in _named(source)]
    twice = [name for name, count in Counter(name for name, _ in given).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; leave out one of them")
    return tuple(f"{name}={_text(name, value)}" for name, value in given)


def folder_flags(folders: Folder | Sequence[Folder] | None) -> tuple[str, ...]:
    """Return the flags that name folders with YAML files of one's own, whatever folder is the current one later."""
    return tuple(f"--config-dir={folder}" for folder in absolute_folders(() if folders is None else folders))


def absolute_folders(folders: Folder | Sequence[Folder]) -> list[Path]:
    """Return the paths of one folder or several.

    Raises:
        InputError: as `absolute_path`.
    """
    several = [folders] if isinstance(folders, str | PathLike) else folders
    return [absolute_path(Path(folder)) for folder in several]


def _named(options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return options by their whole names, those in mappings too."""
    given = []
    for name, value in options.items():
        below = list(options_of(value, f"{name}.")) if isinstance(value, Mapping) else [(name, value)]
        for whole, one in below:
            if not isinstance(name, str) or not _NAME.fullmatch(whole):
                raise InputError(f"an option's name is words with dots, as task.noise, got {_shown(whole)}")
            given.append((whole, one))
    return given


def _text(name: str, value: object) -> str:
    """Return a value as a command line has it; text as it stands."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(_plain(name, one) for one in value)}]"
    return _plain(name, value)


def _plain(name: str, value: object) -> str:
    """Return a value, which may be one of a list.

    Raises:
        InputError: it is none that an option may have.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, str | PathLike):
        return quoted(fspath(value))
    raise InputError(f"{name}: needs text, a number, True, False, None or a list of these, got {_shown(value)}")


def _shown(value: object) -> str:
    """Return a value for a message, which a long one does not fill."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else f'{text[:57]}...'}"
