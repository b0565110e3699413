"""Flags that are short for an option: each command that has the option has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foundation import InputError
from nas.options.listed import option_names


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag in place of `name=value`.

    Attributes:
        names: the spellings, as `-q` and `--quiet`.
        option: name of the option that it sets.
        value: the value that the option then has.
        text: a line for the help.
    """

    names: tuple[str, ...]
    option: str
    value: str
    text: str


_FLAGS = (
    Flag(("-q", "--quiet"), "verbosity", "quiet", "print only what goes wrong"),
    Flag(
        ("-v", "--verbose"),
        "verbosity",
        "verbose",
        "print also which trial starts, where a failure was raised, how many workers there are",
    ),
    Flag(("--show",), "show", "training-samples.png", "short for show=training-samples.png"),
)

SHORT_FOR: Mapping[str, str] = {name: f"{flag.option}={flag.value}" for flag in _FLAGS for name in flag.names}
"""The override that each spelling stands for."""


def flags_of(config_name: str) -> tuple[Flag, ...]:
    """Return the flags of a command: those whose option it has."""
    known = set(option_names(config_name))
    return tuple(flag for flag in _FLAGS if flag.option in known)


def check_flags(arguments: Sequence[str], config_name: str) -> None:
    """Check that each of these flags among the arguments is one of the command.

    Raises:
        InputError: it is one of another.
    """
    own = {name for flag in flags_of(config_name) for name in flag.names}
    foreign = [argument for argument in arguments if argument in SHORT_FOR and argument not in own]
    if foreign:
        raise InputError(f"unknown flag {foreign[0]}; --help lists flags and options")
