"""Experiments by command: each is for the commands that have all the choices and options which it sets."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.options.commands import COMMANDS
from nas.options.listed import choice_files, included_groups, own_files

GROUP = "experiment"


def command_choices(config_name: str, group: str, extra_dirs: Sequence[Path] = ()) -> list[Path]:
    """Return the YAML files of a group's choices for a command: all of them, but for experiments of other commands."""
    files = choice_files(group, extra_dirs)
    if group != GROUP:
        return files
    return [path for path in files if other_command(path.stem, config_name, extra_dirs) is None]


def other_command(name: str, config_name: str, extra_dirs: Sequence[Path] = ()) -> str | None:
    """Return the command that an experiment is for where that is not this one.

    None too for one that there is not, and for one that is for no command: its composition says what is wrong.
    """
    names = set(_names_set(name, extra_dirs))
    if names <= _names_known(config_name):
        return None
    return next((command.name for command in COMMANDS if names <= _names_known(command.config_name)), None)


def settings_of(config_name: str) -> Mapping[str, frozenset[str]]:
    """Return what each experiment of a command sets by itself, by its name: choices and options, as `data=coco`."""
    settings = {}
    for path in command_choices(config_name, GROUP):
        contents = _contents(path)
        defaults = contents.pop("defaults", None) or []
        chosen = [pair for default in defaults if isinstance(default, dict) for pair in default.items()]
        pairs = [*chosen, *contents.items()]
        # As `override /data: coco`.
        settings[path.stem] = frozenset(f"{str(name).split()[-1].removeprefix('/')}={value}" for name, value in pairs)
    return settings


def _names_set(name: str, extra_dirs: Sequence[Path], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the choices and outermost options that an experiment sets, those of others that it is made of included."""
    if name in above:
        return
    for path in choice_files(GROUP, extra_dirs):
        if path.stem != name:
            continue

        contents = _contents(path)
        yield from contents.keys() - {"defaults"}
        defaults = contents.get("defaults")
        for default in defaults if isinstance(defaults, list) else ():
            # As `- spinenet`, another experiment, or `- override /controller: random`.
            if isinstance(default, dict):
                yield from (str(key).split()[-1].removeprefix("/").partition("@")[0] for key in default)
            elif default not in ("_self_", name):
                yield from _names_set(str(default), extra_dirs, (*above, name))


def _names_known(config_name: str) -> set[str]:
    """Return the choices and outermost options of a command; none of one that takes no experiment."""
    groups = {group for group, _ in included_groups(config_name)}
    if GROUP not in groups:
        return set()
    return groups.union(*(_contents(path).keys() for path in own_files(config_name)))


def _contents(path: Path) -> dict[str, Any]:
    """Return what a YAML file holds; nothing of a broken one, which is refused where it is composed."""
    try:
        contents = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return {}
    return contents if isinstance(contents, dict) else {}
