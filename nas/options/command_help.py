"""The help of a command, made from the comments in its YAML files."""

from collections.abc import Sequence
from pathlib import Path

from foundation import InputError, nearest_hint
from nas.options.experiments import command_choices
from nas.options.flags import flags_of
from nas.options.help_layout import explained, filled, listed
from nas.options.listed import (
    EXPERIMENTS,
    Option,
    included_groups,
    options_in,
    own_files,
    package_of,
)

_FLAGS = (
    ("-h, --help [GROUP]", "this text, or its part on the options of one group"),
    ("--version", "print the version of the package"),
    ("--cfg", "print the composed configuration and stop"),
    ("--config-dir DIR", "look for YAML files in DIR too, laid out as the package's experiments/"),
)
_CHOICES = "Choices, as group=choice (* is the default) and their options, as group.name=value:"
_FLAG_COLUMN = 22
_OPTION_COLUMN = 37


def help_text(config_name: str, summary: str, extra_dirs: Sequence[Path] = (), width: int = 120) -> str:
    """Return the help of a command: its options and choices, explained by the comments above them in the YAML.

    Choices in the folders `extra_dirs` are shown too. Lines fit `width`, unless a name alone is longer.
    """
    lines = [*filled(summary, width), "", "Flags:"]
    for name, text in (*_FLAGS, *((", ".join(flag.names), flag.text) for flag in flags_of(config_name))):
        lines += explained(f"  {name}", text, width, _FLAG_COLUMN)

    lines += ["", "Options, as name=value:"]
    for option in _own_options(config_name):
        lines += explained(f"  {option.assignment}", option.comment, width, _OPTION_COLUMN)

    groups = _groups(config_name)
    if groups:
        lines += ["", *filled(_CHOICES, width)]
    for group, default in groups.items():
        lines += _choice_lines(config_name, group, default, extra_dirs, width)

    return "\n".join(lines)


def group_help(config_name: str, name: str, extra_dirs: Sequence[Path] = (), width: int = 120) -> str:
    """Return the part of a command's help on one group of options: choices and their options, or options of one name.

    Raises:
        InputError: the command has no such group; the message has the nearest.
    """
    groups = _groups(config_name)
    own = _own_options(config_name)
    options = [option for option in own if option.name == name or option.name.startswith(f"{name}.")]

    if name in groups:
        lines = _choice_lines(config_name, name, groups[name], extra_dirs, width)
        return "\n".join([*filled(_CHOICES, width), *lines])
    if not options:
        known = list(dict.fromkeys([*groups, *(option.name.partition(".")[0] for option in own)]))
        raise InputError(f"--help: no group {name}; there are {', '.join(known)}{nearest_hint(name, known)}")

    lines = ["Options, as name=value:"]
    for option in options:
        lines += explained(f"  {option.assignment}", option.comment, width, _OPTION_COLUMN)
    return "\n".join(lines)


def _own_options(config_name: str) -> list[Option]:
    return [option for path in own_files(config_name) for option in options_in(path)]


def _groups(config_name: str) -> dict[str, str | None]:
    """Return the groups of choices that a command has, each with its default."""
    return {group: default for group, default in included_groups(config_name) if (EXPERIMENTS / group).is_dir()}


def _choice_lines(
    config_name: str, group: str, default: str | None, extra_dirs: Sequence[Path], width: int
) -> list[str]:
    """Return a line for each choice of a group and each of its options; options that choices share are shown once."""
    lines: list[str] = []
    explained_before: dict[tuple[tuple[str, str], ...], tuple[str, list[Option]]] = {}
    for path in command_choices(config_name, group, extra_dirs):
        mark = "*" if path.stem == default else " "
        lines += explained(f" {mark}{group}={path.stem}", _head(path), width, _OPTION_COLUMN)

        options = options_in(path, extra_dirs)
        if group == "experiment" or not options:
            # An experiment sets options that are explained elsewhere.
            continue

        # Choices of one group often share all their options, and differ in the values alone.
        texts = tuple((option.name, option.comment) for option in options)
        if texts in explained_before:
            other, known = explained_before[texts]
            changed = [option.assignment for option in options if option not in known]
            lines += listed(f"options of {group}={other}, with {', '.join(changed) or 'the same values'}", width)
            continue

        explained_before[texts] = (path.stem, options)
        for option in options:
            name = f"      {package_of(path)}.{option.assignment}"
            lines += explained(name, option.comment, width, _OPTION_COLUMN)

    return lines


def _head(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction to Hydra."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = (line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "")
