"""A sweep: a command line on which options have several values, as a command line for each combination."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from foundation import InputError
from nas.options.experiments import command_choices
from nas.options.listed import included_groups
from nas.options.overrides import parsed, swept_values

SWEEP_FLAGS = ("-m", "--multirun")
MAX_COMBINATIONS = 10_000
"""Most combinations: each is composed and built before the first of them starts, which takes a tenth of a second."""
OF_ALL = ("run", "verbosity")
"""Options that all combinations share: the folder that they lie below, and how much is printed."""
_MAX_NAME = 120
_DIGITS = 6
_SWEEP = "as seed=1,2,3, seed=range(1,4) or controller=choice(random,evolution)"


@dataclass(frozen=True, slots=True)
class SweptValue:
    """The value that a swept option has in one combination.

    Attributes:
        name: of the option, nested names with dots.
        value: as a command line has it.
        is_choice: whether the option is a group, whose choices have names of their own.
    """

    name: str
    value: str
    is_choice: bool

    @property
    def folder_name(self) -> str:
        """The part that the value has in the name of a folder."""
        plain = _plain(self.value)
        return plain if self.is_choice else f"{self.name}-{plain}"


@dataclass(frozen=True, slots=True)
class Combination:
    """One combination of a sweep.

    Attributes:
        arguments: the command line with one value for each option.
        swept: the options that have several in the sweep, in the order in which they were given.
    """

    arguments: tuple[str, ...]
    swept: tuple[SweptValue, ...]

    def __str__(self) -> str:
        return " ".join(f"{one.name}={one.value}" for one in self.swept)

    @property
    def folder_name(self) -> str:
        """A name that says what is swept: choices first, then options, each by name, in whatever order they came.

        It depends on nothing else of the sweep, so that another value more leaves the folders of the others.
        """
        ordered = sorted(self.swept, key=lambda one: (not one.is_choice, one.name))
        return _short("-".join(one.folder_name for one in ordered))


def is_sweep(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for a sweep."""
    return any(flag in arguments for flag in SWEEP_FLAGS)


def combinations_of(arguments: Sequence[str], config_name: str, extra_dirs: Sequence[Path] = ()) -> list[Combination]:
    """Return the combinations of the values on a command line, the last option varying fastest, as Hydra's sweeper.

    Args:
        arguments: without the flag that asks for a sweep.
        config_name: YAML file of the command.
        extra_dirs: folders with further choices.

    Raises:
        InputError: no option has several values, one has none or cannot have several, or there are too many.
    """
    swept = [_values(argument, config_name, extra_dirs) for argument in arguments]
    names = [_name(argument) for argument in arguments]
    for name, values in zip(names, swept, strict=True):
        if values is not None and names.count(name) > 1:
            raise InputError(f"-m: {name} is given twice, and with several values; give all of them at once")

    values_of_options = [values for values in swept if values is not None]
    if not values_of_options:
        raise InputError(f"-m runs one search after another, and needs an option with several values, {_SWEEP}")
    count = math.prod(map(len, values_of_options))
    if count > MAX_COMBINATIONS:
        raise InputError(f"-m: these are {count:,} combinations or more, and at most {MAX_COMBINATIONS:,} can be run")

    parts = [
        [(argument, None)] if values is None else [(f"{_key(argument)}={one.value}", one) for one in values]
        for argument, values in zip(arguments, swept, strict=True)
    ]
    combinations = [
        Combination(tuple(argument for argument, _ in chosen), tuple(value for _, value in chosen if value is not None))
        for chosen in product(*parts)
    ]
    _check_different(combinations)
    return combinations


def several_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that have several values, to Hydra's grammar."""
    overrides = [(argument, parsed(argument)) for argument in arguments if _is_override(argument)]
    return [argument for argument, read in overrides if read is not None and read.is_sweep_override()]


def _values(argument: str, config_name: str, extra_dirs: Sequence[Path]) -> list[SweptValue] | None:
    """Return the values that an option is to have one after another; None where it has one, as always.

    Raises:
        InputError: it has none, or cannot have several.
    """
    if not _is_override(argument):
        return None
    read, name = parsed(argument), _name(argument)
    if read is None and "," in argument.partition("=")[2]:
        raise InputError(f"-m: {argument} cannot be read; put each value in quotes, as {name}='~/a','~/b'")
    if read is None or not read.is_sweep_override():
        return None

    if name in OF_ALL:
        purpose = "all searches lie below it" if name == "run" else "it is one for all searches"
        raise InputError(f"-m: {name} takes one value, {purpose}")
    if not read.is_discrete_sweep():
        raise InputError(f"-m: {argument} has no values that can be listed; give some, {_SWEEP}")

    is_choice = name in {group for group, _ in included_groups(config_name)}
    choices = [path.stem for path in command_choices(config_name, name, extra_dirs)] if is_choice else []
    texts = swept_values(read, choices, MAX_COMBINATIONS + 1)
    if not texts:
        raise InputError(f"-m: {argument} holds no value")
    return [SweptValue(name, text, is_choice) for text in texts]


def _check_different(combinations: Sequence[Combination]) -> None:
    """Check that each combination has a folder of its own.

    Raises:
        InputError: two have the same.
    """
    known: dict[str, Combination] = {}
    for combination in combinations:
        other = known.setdefault(combination.folder_name, combination)
        if other is not combination:
            same = f"{combination} is there twice" if str(other) == str(combination) else f"{other} and {combination}"
            raise InputError(f"-m: {same}; each search needs a folder of its own, {combination.folder_name} here")


def _is_override(argument: str) -> bool:
    return "=" in argument and not argument.startswith(("-", "~"))


def _key(argument: str) -> str:
    """Return what stands before the value, the plusses included by which Hydra adds an option."""
    return argument.partition("=")[0]


def _name(argument: str) -> str:
    return _key(argument).lstrip("+")


def _plain(value: str) -> str:
    """Return a value as part of a file name; where that is not the value itself, a few digits tell it from others."""
    text = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
    if re.fullmatch(r"[\w.+-]+", text):
        return text
    return "-".join(filter(None, [re.sub(r"[^\w.+-]+", "-", text).strip("-"), _digest(text)]))


def _short(name: str) -> str:
    """Return a name that every file system takes."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
