"""The options that a run has on record, as the overrides of a command line that names only the run.

A record is data. Each class on record is looked up among those that the YAML files of choices name, and that choice
takes its place; a class that none of them names must be given again.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from foundation import InputError, absolute_path
from nas.options.configuration import options_of
from nas.options.listed import choice_files, included_files, included_groups, own_files, package_of
from nas.options.text_values import quoted

NOT_TAKEN = ("run", "verbosity")
"""Options of one start alone: a run may have been moved, and how much to print depends on who looks on."""
GIVEN_AGAIN = ("block_kinds", "executor.address", "tracking.mlflow.uri", "task.latency.command")
"""Options that say which code runs or what is connected to: no record decides that."""
OptionsOnRecord: TypeAlias = Callable[[Path], Mapping[str, Any] | None]
"""Returns the options that a run folder has on record, by their whole names; None where it holds no run."""

_TARGET = "_target_"
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_NAME = re.compile(r"\w+(\.\w+)*")
"""A name that can stand on a command line; anything may stand in a file."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """A choice as its YAML file has it.

    Attributes:
        name: of the file.
        package: the part of the configuration that it fills; empty for the whole.
        options: its options by their whole names, without those that refer to others.
        references: options that repeat another part of the configuration, each with the name of that part.
    """

    name: str
    package: str
    options: Mapping[str, Any]
    references: Mapping[str, str]

    def own(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is on record below this choice, without what repeats another part as the choice does."""
        own = {}
        for name, value in recorded.items():
            origins = [f"{to}{name.removeprefix(of)}" for of, to in self.references.items() if _is_below(name, [of])]
            is_repeated = any(origin in recorded and recorded[origin] == value for origin in origins)
            if _is_below(name, [self.package]) and not is_repeated:
                own[name] = value
        return own


def taken_from_record(
    overrides: Sequence[str],
    config_name: str,
    extra_dirs: Sequence[Path],
    on_record: OptionsOnRecord,
    value_of: Callable[[str], Any],
) -> list[str]:
    """Return the overrides that stand for the record of the run which a command line names.

    They are none where it names no run that there is, and none where it names an experiment, which is a whole set-up.

    Args:
        overrides: those of the command line, as Hydra takes them.
        config_name: YAML file of the command.
        extra_dirs: folders with further choices.
        on_record: gives the record.
        value_of: gives the value that Hydra reads in an override; None for none.

    Raises:
        InputError: as `recorded_overrides`.
    """
    given = {override.partition("=")[0].lstrip("+~"): override for override in overrides}
    run = value_of(given.get("run", "run=null"))
    if run is None or "experiment" in given:
        return []

    # A number is a folder's name here, as it was written.
    folder = run if isinstance(run, str) else given["run"].partition("=")[2]
    recorded = on_record(absolute_path(Path(folder)))
    if recorded is None:
        return []

    names: list[str] = []
    for name, override in given.items():
        value = value_of(override)
        # A mapping may be given whole, as `limits={macs:5e9}`.
        names += [below for below, _ in options_of(value, f"{name}.")] if isinstance(value, dict) else [name]
    return recorded_overrides(recorded, config_name, names, extra_dirs)


def recorded_overrides(
    recorded: Mapping[str, Any], config_name: str, given: Collection[str], extra_dirs: Sequence[Path] = ()
) -> list[str]:
    """Return the overrides that bring back what is on record, except what the command line gives itself.

    A choice on the command line, as `task=landscape`, gives every option below it.

    Args:
        recorded: the options on record by their whole names, as they are called today.
        config_name: YAML file of the command.
        given: names of the options and choices on the command line.
        extra_dirs: folders with further choices.

    Raises:
        InputError: an option that must be given again; the message names it.
    """
    taken = {name: value for name, value in recorded.items() if not _is_below(name, NOT_TAKEN)}
    for name, value in taken.items():
        if _is_below(name, GIVEN_AGAIN) and not _is_below(name, given) and value not in (None, "auto"):
            raise _again(name, value, "and no record decides what is imported, executed or connected to")

    overrides = []
    groups = dict(included_groups(config_name))
    for group in [group for group in groups if group not in given and group != "experiment"]:
        choices = _choices(group, extra_dirs)
        # The default first: where several choices are as near to the record, it is taken.
        choices.sort(key=lambda choice: choice.name != groups[group])
        overrides += _group_overrides(group, choices, taken, given)

    # Options in no group, as if they were a choice. Names that no YAML knows are left to the later comparison.
    own = _own_options(config_name)
    known = {name.split(".")[0] for name in own.options}
    rest = {name: value for name, value in taken.items() if name.split(".")[0] in known}
    return [*overrides, *_value_overrides(_chosen("", [own], rest, given), rest, given)]


def _is_below(name: str, options: Collection[str]) -> bool:
    """Return whether an option is one of these or a part of one; every option is a part of the empty name."""
    return any(not whole or name == whole or name.startswith(f"{whole}.") for whole in options)


def _choices(group: str, extra_dirs: Sequence[Path]) -> list[_Choice]:
    choices = []
    for path in choice_files(group, extra_dirs):
        package = package_of(path)
        contents = {f"{package}.{name}": value for name, value in _contents(path, extra_dirs).items()}
        choices.append(_choice(path.stem, package, contents))
    return choices


def _own_options(config_name: str) -> _Choice:
    """Return the options of a command that are in no group, as if they were a choice."""
    contents: dict[str, Any] = {}
    for path in own_files(config_name):
        contents |= _contents(path)
    return _choice(config_name, "", contents)


def _choice(name: str, package: str, contents: Mapping[str, Any]) -> _Choice:
    sources = {option: _REFERENCE.fullmatch(str(value)) for option, value in contents.items()}
    references = {option: found[1] for option, found in sources.items() if found}
    options = {option: value for option, value in contents.items() if option not in references}
    return _Choice(name, package, options, references)


def _contents(path: Path, extra_dirs: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the options in a YAML file with their values, those of the files that it includes too.

    Raises:
        InputError: the file, which may be the user's own, is broken.
    """
    contents: dict[str, Any] = {}
    for below, file in included_files(path, extra_dirs):
        contents |= {f"{below}.{name}": value for name, value in _contents(file, extra_dirs).items()}

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(written, dict):
        raise InputError(f"{path}: needs options, as name: value")

    # As `- shapes`: another choice of the group, of which this one changes something.
    defaults = written.get("defaults")
    for default in defaults if isinstance(defaults, list) else ():
        if isinstance(default, str) and default != "_self_" and (path.parent / f"{default}.yaml").exists():
            contents |= _contents(path.parent / f"{default}.yaml", extra_dirs)
    return contents | {name: value for name, value in options_of(written) if not _is_below(name, ["defaults"])}


def _group_overrides(
    group: str, choices: Sequence[_Choice], recorded: Mapping[str, Any], given: Collection[str]
) -> list[str]:
    """Return the overrides that choose what is on record of a group, and the values in which it differs."""
    names = [name for name in recorded if _is_below(name, [group])]
    if all(choice.package == group for choice in choices):
        # A run that is older than the group has nothing of it.
        chosen = [_chosen(group, choices, recorded, given)] if names else []
        overrides = [f"{group}={choice.name}" for choice in chosen]
    else:
        # Several may be chosen, each below a name of its own; choosing none is a choice too, which fills the whole.
        packages = dict.fromkeys(".".join(name.split(".")[:2]) for name in names) or [group]
        chosen = [_chosen(package, choices, recorded, given) for package in packages]
        overrides = [f"{group}=[{','.join(choice.name for choice in chosen)}]"]

    for choice in chosen:
        overrides += _value_overrides(choice, recorded, given)
    return overrides


def _chosen(package: str, choices: Sequence[_Choice], recorded: Mapping[str, Any], given: Collection[str]) -> _Choice:
    """Return the choice that names the classes on record, and of several the one whose values are most like them.

    Raises:
        InputError: none names them.
    """
    candidates = [choice for choice in choices if choice.package == package]
    fitting = [
        choice for choice in candidates if _classes(choice.options, given) == _classes(choice.own(recorded), given)
    ]
    if not fitting:
        raise _unknown_class(package, candidates, recorded, given)
    return min(fitting, key=lambda choice: _misfit(choice, recorded))


def _misfit(choice: _Choice, recorded: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many options of a choice are not on record, and how many values are others."""
    own = choice.own(recorded)
    return len(choice.options.keys() - own.keys()), len(_other(own, choice.options))


def _classes(options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return the options that name a class and are not given on the command line."""
    return {name: value for name, value in options.items() if _TARGET in name.split(".") and not _is_below(name, given)}


def _value_overrides(choice: _Choice, recorded: Mapping[str, Any], given: Collection[str]) -> Iterator[str]:
    """Yield an override for each value on record that a choice does not have by itself.

    Raises:
        InputError: a value, or a name, that a command line takes for something else.
    """
    for name, value in _other(choice.own(recorded), choice.options).items():
        if _TARGET in name.split(".") or _is_below(name, given):
            continue

        # A value in the place of a whole choice would choose a file, wherever that lies.
        if name == choice.package or not _NAME.fullmatch(name) or not _is_plain(value):
            raise _again(name, value, "which cannot be taken as it stands")
        # Hydra adds no name to a configuration without the plusses.
        plus = "" if name in choice.options else "++"
        yield f"{plus}{name}={_written(value)}"


def _is_plain(value: Any) -> bool:  # noqa: ANN401  # any JSON value
    """Return whether a value is one to Hydra too, and no reference to something else."""
    if isinstance(value, list):
        return all(_is_plain(one) for one in value)
    return not isinstance(value, dict) and "${" not in str(value)


def _written(value: Any) -> str:  # noqa: ANN401  # any JSON value
    """Return a value as Hydra's grammar has it."""
    if isinstance(value, list):
        return f"[{','.join(_written(one) for one in value)}]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _unknown_class(
    package: str, candidates: Sequence[_Choice], recorded: Mapping[str, Any], given: Collection[str]
) -> InputError:
    """Return the error that names the outermost class on record which no choice has in its place."""
    found = _classes({name: value for name, value in recorded.items() if _is_below(name, [package])}, given)

    # Measured by the choice that is nearest: a class that it has too, or repeats, is not the one.
    nearest = min(candidates, key=lambda choice: len(_other(found, choice.options)), default=None)
    if nearest is not None:
        own = _classes(nearest.own(recorded), given)
        found = _other(own, nearest.options) or dict.fromkeys(_classes(nearest.options, given).keys() - own.keys())

    name, value = min(found.items(), key=lambda item: len(item[0].split(".")))
    return _again(name, value, "a class that no choice here names, and none is imported because a record names it")


def _other(options: Mapping[str, Any], those: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not among others with the same value."""
    return {name: value for name, value in options.items() if name not in those or those[name] != value}


def _again(name: str, value: Any, why: str) -> InputError:  # noqa: ANN401  # any JSON value
    """Return the error that asks for an option which stands on record."""
    # A class belongs to its choice, which is the shorter answer.
    choice = f", or {name.split('.')[0]}=NAME with all below it" if name.endswith(_TARGET) else ""
    return InputError(f"the run has {name}={value} on record, {why}: give {name}=... again{choice}")
