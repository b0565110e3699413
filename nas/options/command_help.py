"""The help of a command, made from the comments in its YAML files."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.options.listed import (
    EXPERIMENTS,
    Option,
    choice_files,
    included_groups,
    option_names,
    options_in,
    own_files,
    package_of,
)

VERBOSITY_FLAGS: Mapping[str, tuple[str, str]] = {"quiet": ("-q", "--quiet"), "verbose": ("-v", "--verbose")}

_FLAGS = """\
Flags:
  -h, --help          this text
  --version           print the version of the package
  --cfg               print the composed configuration and stop
  --config-dir DIR    look for YAML files in DIR too, laid out as the package's experiments/
"""
_FLAGS_OF_LONG_WORK = """\
  -q, --quiet         print only what goes wrong
  -v, --verbose       print also which trial starts, where a failure was raised, how many workers there are
"""


def help_text(config_name: str, summary: str, extra_dirs: Sequence[Path] = ()) -> str:
    """Return the help of a command: its options and choices, explained by the comments above them in the YAML.

    Choices in the folders `extra_dirs` are shown too.
    """
    # Flags stand for an option, so a command without the option has no such flags.
    flags = _FLAGS + _FLAGS_OF_LONG_WORK * ("verbosity" in option_names(config_name))
    lines = [summary.strip(), "", flags, "Options, as name=value:"]
    for path in own_files(config_name):
        lines += [f"  {option.assignment:<34} {option.comment}" for option in options_in(path)]

    groups = included_groups(config_name)
    if any((EXPERIMENTS / group).is_dir() for group, _ in groups):
        lines += ["", "Choices, as group=choice (* is the default) and their options, as group.name=value:"]
    for group, default in groups:
        lines += _choice_lines(group, default, extra_dirs)

    return "\n".join(lines)


def _choice_lines(group: str, default: str | None, extra_dirs: Sequence[Path]) -> list[str]:
    """Return a line for each choice of a group and each of its options; options that choices share are shown once."""
    lines: list[str] = []
    explained: dict[tuple[tuple[str, str], ...], tuple[str, list[Option]]] = {}
    for path in choice_files(group, extra_dirs):
        mark = "*" if path.stem == default else " "
        lines.append(f" {mark}{group}={path.stem:<{33 - len(group)}} {_head(path)}")

        options = options_in(path, extra_dirs)
        if group == "experiment" or not options:
            # An experiment sets options that are explained elsewhere.
            continue

        # Choices of one group often share all their options, and differ in the values alone.
        texts = tuple((option.name, option.comment) for option in options)
        if texts in explained:
            other, known = explained[texts]
            changed = [option.assignment for option in options if option not in known]
            text = f"options of {group}={other}, with {', '.join(changed) or 'the same values'}"
            lines += textwrap.wrap(text, 112, initial_indent=" " * 6, subsequent_indent=" " * 8)
        else:
            explained[texts] = (path.stem, options)
            package = package_of(path)
            width = 29 - len(package)
            lines += [f"      {package}.{option.assignment:<{width}} {option.comment}" for option in options]

    return lines


def _head(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction to Hydra."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = (line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "")
