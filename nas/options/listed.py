"""The options that a command's YAML files list, each with its default and the comment that explains it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.options.installed import installed_choices

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
"""The configurations, which lie beside the code; imported by name they could be those of another package."""

_OPEN = "open: "
"""Beginning of a comment at a mapping, or above `_target_`, that takes names which the YAML does not list."""
_ANY_NAME = "NAME"
"""Stands for such a name in help."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option as a YAML file lists it.

    Attributes:
        name: whole or below the file's own part of the configuration; nested names with dots.
        default: its value in the file, as text.
        comment: what the file says of it; empty for nothing.
        is_open: whether it stands for any name below a mapping that is open.
    """

    name: str
    default: str
    comment: str
    is_open: bool = False

    @property
    def assignment(self) -> str:
        """The option with its default, as on a command line."""
        return f"{self.name}={self.default}"


def own_files(config_name: str) -> list[Path]:
    """Return the YAML files that hold a command's options, its choices aside."""
    names = [config_name, *(["config"] if ("config", None) in included_groups(config_name) else [])]
    return [EXPERIMENTS / f"{name}.yaml" for name in names]


def included_groups(config_name: str) -> list[tuple[str, str | None]]:
    """Return the groups in a YAML file's defaults with the chosen names, those of an included `config` too."""
    groups: list[tuple[str, str | None]] = []
    text = (EXPERIMENTS / f"{config_name}.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.strip() == "- config":
            groups += [("config", None), *included_groups("config")]
            continue

        # As `  - scale: tiny`, or `  - tracking: [mlflow]` where several may be chosen.
        found = re.match(r"  - (\w+): \[?([\w-]+)", line)
        if found:
            groups.append((found[1], None if found[2] == "null" else found[2]))
    return groups


def choice_files(group: str, extra_dirs: Sequence[Path] = ()) -> list[Path]:
    """Return the YAML files of a group by name, those in folders of the user and of installed packages included.

    Of two with one name the package's own counts, and then that of the folder that is named first, as for Hydra.
    """
    folders = (EXPERIMENTS, *extra_dirs, *installed_choices().folders)
    files_of_group = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return [files_of_group[name] for name in sorted(files_of_group)]


def package_of(path: Path) -> str:
    """Return which part of the configuration a choice's YAML file fills: what it says itself, or else its group."""
    found = re.match(r"# @package (\w[\w.]*)", path.read_text(encoding="utf-8"))
    return found[1] if found else path.parent.name


def all_options(config_name: str, extra_dirs: Sequence[Path] = ()) -> list[Option]:
    """Return every option that a command knows, those of choices that are not the default and the choices included."""
    options = [option for path in own_files(config_name) for option in options_in(path)]
    for group, default in included_groups(config_name):
        options.append(Option(group, default or "null", ""))
        for path in choice_files(group, extra_dirs):
            package = package_of(path)
            below = [replace(option, name=f"{package}.{option.name}") for option in options_in(path, extra_dirs)]
            options += [option for option in below if option.comment]
    return options


def option_names(config_name: str, extra_dirs: Sequence[Path] = ()) -> list[str]:
    """Return the names of all options that are listed."""
    return [option.name for option in all_options(config_name, extra_dirs) if not option.is_open]


def open_mappings(config_name: str, extra_dirs: Sequence[Path] = ()) -> set[str]:
    """Return the names of the mappings that take names which are not listed."""
    options = all_options(config_name, extra_dirs)
    return {option.name.removesuffix(f".{_ANY_NAME}") for option in options if option.is_open}


def options_in(path: Path, extra_dirs: Sequence[Path] = ()) -> list[Option]:
    """Return the options with a comment in a YAML file; those of a file that it includes below a name too.

    Included is what stands in its defaults as `- /learner@learner: policy_gradient`: the comments are those of that
    file, the defaults those of this one where it has its own.
    """
    # A file need not explain again what it only gives another default.
    own = {option.name: option for option in _parsed(path)}
    options = {name: option for name, option in own.items() if option.comment}

    for below, file in included_files(path, extra_dirs):
        for option in options_in(file, extra_dirs):
            name = f"{below}.{option.name}"
            default = own[name].default if name in own else option.default
            options.setdefault(name, replace(option, name=name, default=default))

    return list(options.values())


def included_files(path: Path, extra_dirs: Sequence[Path] = ()) -> list[tuple[str, Path]]:
    """Return the files that a choice's YAML file includes, each with the name below which it does."""
    included = []
    for group, below, choice in re.findall(r"^ *- /(\w+)@([\w.]+): ([\w-]+)$", path.read_text(encoding="utf-8"), re.M):
        included += [(below, file) for file in choice_files(group, extra_dirs) if file.stem == choice]
    return included


def _parsed(path: Path) -> Iterator[Option]:
    """Yield the options of one YAML file, each with the comment above it; nested ones with dots."""
    # Line by line: a YAML parser drops the comments.
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip()[1:].strip())
            continue

        # A comment explains the line below it alone.
        above, comment = comment, []
        found = re.match(r"( *)(\w+):(?= |$)(.*)", line)
        if found is None or found[2] == "defaults":
            continue
        if found[2] == "_target_":
            yield from _open_options("", [text for text in above if text.startswith(_OPEN)])
            continue

        indent, key = len(found[1]), found[2]
        default, _, behind = (part.strip() for part in found[3].partition(" # "))

        # Mappings that are indented less enclose this line.
        parents = [parent for parent in parents if parent[0] < indent]
        name = ".".join([*(parent for _, parent in parents), key])
        if behind.startswith(_OPEN):
            yield from _open_options(f"{name}.", [*above, behind])
        elif default:
            yield Option(name, default, " ".join(above))
        if not default:
            parents.append((indent, key))


def _open_options(prefix: str, comments: Sequence[str]) -> Iterator[Option]:
    """Yield the option that stands for any name below a mapping, if its comments say that it is open."""
    if comments:
        text = " ".join(comment.removeprefix(_OPEN) for comment in comments)
        yield Option(f"{prefix}{_ANY_NAME}", "", text, is_open=True)
