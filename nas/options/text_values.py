"""Text on a command line: in quotes where Hydra would read a number, or nothing, in its place."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from nas.options.builder import option_types
from nas.options.commands import COMMANDS
from nas.options.listed import Option

_SIMPLE_LIST = re.compile(r"\s*\[([^][{}()\"'\\]*)\]\s*")
"""A list of plain values, which can be cut at its commas."""


def quoted(text: str) -> str:
    """Return a text in quotes, which Hydra reads as that very text."""
    # In quotes, backslashes count for themselves unless a quote follows.
    return '"' + re.sub(r'(\\*)("|\Z)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), text) + '"'


def text_as_written(
    overrides: Sequence[str],
    config_name: str,
    config: Mapping[str, Any],
    listed: Sequence[Option],
    value_of: Callable[[str], Any],
) -> list[str]:
    """Return the overrides, those in quotes that give a number or the like to an option that is text or a path.

    Hydra reads `run=1e3` as a number, and nobody could tell afterwards how it was written.

    Args:
        overrides: as Hydra takes them.
        config_name: YAML file of the command.
        config: what they compose to.
        listed: the options that the command's YAML files list.
        value_of: gives the value that Hydra reads in an override; None for none.
    """
    command = next(command for command in COMMANDS if command.config_name == config_name)
    kept = []
    for override in overrides:
        key, _, written = override.partition("=")
        name, value = key.lstrip("+"), value_of(override)
        if value is None or isinstance(value, str) or _has_number(name, listed, value_of):
            kept.append(override)
            continue

        types = option_types({**config, "_target_": command.options}, name)
        if not types and command.own_options:
            types = option_types({**config, "_target_": command.own_options}, name)
        if isinstance(value, list) and any(_is_texts(one) for one in types):
            written = _list_of_texts(written, value_of)
        elif {str, Path} & {*types} and not {int, float, bool} & {*types}:
            written = quoted(written)
        kept.append(f"{key}={written}")
    return kept


def _has_number(name: str, listed: Sequence[Option], value_of: Callable[[str], Any]) -> bool:
    """Return whether an option is a number by default, so that its class need not be imported to tell its type."""
    return any(_is_number(value_of(f"x={option.default}")) for option in listed if option.name == name)


def _list_of_texts(written: str, value_of: Callable[[str], Any]) -> str:
    """Return a list with its numbers in quotes; as it is where it holds more than plain values."""
    found = _SIMPLE_LIST.fullmatch(written)
    if found is None:
        return written
    elements = [element.strip() for element in found[1].split(",")]
    texts = [quoted(element) if _is_number(value_of(f"x={element}")) else element for element in elements]
    return f"[{','.join(texts)}]"


def _is_texts(hint: Any) -> bool:  # noqa: ANN401  # any type hint
    return get_origin(hint) is tuple and get_args(hint)[0] in (str, Path)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
