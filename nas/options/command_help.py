"""The help of a command, made from the comments in its YAML files."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

EXPERIMENTS = Path(str(files("experiments")))
VERBOSITY_FLAGS: Mapping[str, tuple[str, str]] = {"quiet": ("-q", "--quiet"), "verbose": ("-v", "--verbose")}

_FLAGS = """\
Flags:
  -h, --help          this text
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
    groups = _included(config_name)
    flags = _FLAGS + _FLAGS_OF_LONG_WORK * ("verbosity" in option_names(config_name))
    lines = [summary.strip(), "", flags, "Options, as name=value:"]
    for path in _own_files(config_name):
        lines += [f"  {option:<34} {comment}" for option, comment in _commented(path)]
    choices = [group for group, _ in groups if (EXPERIMENTS / group).is_dir()]
    if choices:
        lines += ["", "Choices, as group=choice (* is the default) and their options, as group.name=value:"]
    for group, default in groups:
        explained: dict[tuple[str, ...], tuple[str, list[str]]] = {}
        for path in choice_files(group, extra_dirs):
            mark = "*" if path.stem == default else " "
            lines.append(f" {mark}{group}={path.stem:<{33 - len(group)}} {_head(path)}")
            if group == "experiment" or not (commented := _commented(path)):
                continue
            options = [option for option, _ in commented]
            names = tuple(f"{option.split('=')[0]} {comment}" for option, comment in commented)
            if names in explained:
                other, known = explained[names]
                changed = [option for option in options if option not in known]
                text = f"options of {group}={other}, with {', '.join(changed) or 'the same values'}"
                lines += textwrap.wrap(text, 112, initial_indent=" " * 6, subsequent_indent=" " * 8)
            else:
                explained[names] = (path.stem, options)
                prefix = _package(path) or group
                lines += [f"      {prefix}.{o:<{29 - len(prefix)}} {comment}" for o, comment in commented]
    return "\n".join(lines)


def choice_files(group: str, extra_dirs: Sequence[Path] = ()) -> list[Path]:
    """Return the YAML files of a group, those in folders of the user included, by name."""
    files_of_group = {
        path.stem: path for folder in (*extra_dirs, EXPERIMENTS) for path in (folder / group).glob("*.yaml")
    }
    return [files_of_group[name] for name in sorted(files_of_group)]


def option_names(config_name: str, extra_dirs: Sequence[Path] = ()) -> list[str]:
    """Return every option that a command knows, those of choices that are not the default included."""
    groups = [group for group, _ in _included(config_name)]
    names = [name for path in _own_files(config_name) for name, _ in _commented(path)] + groups
    for group in groups:
        for path in choice_files(group, extra_dirs):
            names += [f"{_package(path) or group}.{name}" for name, _ in _commented(path)]
    return [name.split("=")[0] for name in names]


def _own_files(config_name: str) -> list[Path]:
    """Return the YAML files that hold a command's options, its choices aside."""
    names = [config_name, *(["config"] if ("config", None) in _included(config_name) else [])]
    return [EXPERIMENTS / f"{name}.yaml" for name in names]


def _included(config_name: str) -> list[tuple[str, str | None]]:
    """Return the groups in a YAML file's defaults with the chosen names, those of an included `config` too."""
    groups: list[tuple[str, str | None]] = []
    text = (EXPERIMENTS / f"{config_name}.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.strip() == "- config":
            groups += [("config", None), *_included("config")]
        elif found := re.match(r"  - (\w+): \[?([\w-]+)", line):
            groups.append((found[1], None if found[2] == "null" else found[2]))
    return groups


def _package(path: Path) -> str | None:
    """Return where the options of a YAML file stand, if it says so itself."""
    found = re.match(r"# @package (\w[\w.]*)", path.read_text(encoding="utf-8"))
    return found[1] if found else None


def _head(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction to Hydra."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = (line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "")


def _commented(path: Path) -> list[tuple[str, str]]:
    """Return the options of a YAML file, as name=default, each with the comment above it; nested ones with dots."""
    options: list[tuple[str, str]] = []
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)(\w+):(?: (.*))?$", line)
        if line.strip().startswith("#"):
            comment.append(line.strip()[1:].strip())
        elif found and found[2] not in ("defaults", "_target_"):
            indent = len(found[1])
            parents = [parent for parent in parents if parent[0] < indent]
            if found[3] is None:
                parents.append((indent, found[2]))
            elif comment:
                name = ".".join([*(parent for _, parent in parents), found[2]])
                options.append((f"{name}={found[3]}", " ".join(comment)))
            comment = []
        else:
            comment = []
    return options
