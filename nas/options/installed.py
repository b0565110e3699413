"""Choices of packages that are installed: YAML files which their entry points lead to, found as by `--config-dir`.

A distribution that declares, in the group of its kind, the name of a choice and the package that holds it,

    [project.entry-points."spinenet_search.controllers"]
    hill_climb = "hill_climbing"

has the file `controller/hill_climb.yaml` in its package `hill_climbing`, and `controller=hill_climb` takes it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

GROUPS = {
    "spinenet_search.controllers": "controller",
    "spinenet_search.spaces": "space",
    "spinenet_search.tasks": "task",
    "spinenet_search.data": "data",
    "spinenet_search.scales": "scale",
    "spinenet_search.recipes": "recipe",
    "spinenet_search.rewards": "reward",
    "spinenet_search.tracking": "tracking",
    "spinenet_search.protocols": "protocol",
    "spinenet_search.experiments": "experiment",
}
"""Groups of choices that a package may add to, by the group of its entry points. Block kinds have one of their own."""


@dataclass(frozen=True, slots=True)
class InstalledChoices:
    """The choices that installed packages add.

    Attributes:
        folders: their folders, laid out as the package's `experiments/`.
        broken: what is wrong with choices that cannot be found, in words, by group and name.
    """

    folders: tuple[Path, ...]
    broken: dict[tuple[str, str], str]


def installed_choices() -> InstalledChoices:
    """Return the choices that installed packages add. None of them is imported.

    What is broken harms nobody who does not ask for it.
    """
    return _choices_on(tuple(sys.path))


@lru_cache(maxsize=4)
def _choices_on(path: tuple[str, ...]) -> InstalledChoices:
    """Return the choices of packages on Python's path, by which they are kept: to read what is there takes time."""
    folders: dict[Path, None] = {}
    broken = {}
    for group, point in _declared():
        where = f"{point.value}, which {_distribution(point)} names for {group}={point.name}"
        folder = _folder_of(point.value)
        if folder is None:
            broken[group, point.name] = f"there is no package {where}"
        elif not (folder / group / f"{point.name}.yaml").is_file():
            broken[group, point.name] = f"there is no {group}/{point.name}.yaml in the package {where}"
        else:
            folders[folder] = None
    return InstalledChoices(tuple(folders), broken)


def _declared() -> Iterator[tuple[str, EntryPoint]]:
    """Yield the entry points of our groups in a fixed order, each with the group of choices that it adds to."""
    found = entry_points()
    for declared, group in GROUPS.items():
        for point in sorted(found.select(group=declared), key=lambda point: (point.name, point.value)):
            yield group, point


def _folder_of(package: str) -> Path | None:
    """Return the folder of a package; None where there is no such package."""
    # The outermost package is found without being imported; to find what is inside would import it.
    top, *below = package.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    places = (spec.submodule_search_locations if spec else None) or ()
    return next((folder for place in places if (folder := Path(place, *below)).is_dir()), None)


def _distribution(point: EntryPoint) -> str:
    return "an installed package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
