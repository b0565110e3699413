"""The check that the packages of this project are found, and not others of the same names.

Python looks for modules in the folder that `python -m` is started in before it looks where packages are installed.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTION = "spinenet-search"
"""The name under which the packages are installed, and that of the script."""
OWN_PACKAGES = ("nas", "controllers", "proxy_tasks", "search_space", "foundation")
"""The packages that are imported; configurations are read from the folder beside them."""
HOME = Path(__file__).parents[1]
"""The folder that holds them all."""

_EXIT_USER_ERROR = 2


def check_own_packages() -> None:
    """End the command in one line where another package would be imported in place of one of ours.

    Raises:
        ImportError: the same, where no command is being started.
    """
    message = next(filter(None, map(_hidden_by_another, OWN_PACKAGES)), None)
    if message is None:
        return

    if _is_located_by_python() or Path(sys.argv[0]).name == DISTRIBUTION:
        print(f"error: {message}", file=sys.stderr)
        sys.exit(_EXIT_USER_ERROR)
    raise ImportError(message)


def _is_located_by_python() -> bool:
    """Return whether python -m is looking for one of our modules just now."""
    return sys.argv[0] == "-m"


def _hidden_by_another(name: str) -> str | None:
    """Return what a person is told where a package of ours is hidden; None where Python finds ours, or none."""
    found = find_spec(name)
    if found is None:
        return None
    places = [Path(place) for place in found.submodule_search_locations or [str(found.origin)]]
    if any(place.exists() and place.parent.samefile(HOME) for place in places):
        return None

    folder = places[0].parent
    way_out = f"take {folder} out of PYTHONPATH"
    if _is_located_by_python() and folder.samefile("."):
        way_out = "start in another folder, or with spinenet-search, which looks for modules here last"
    return f"{places[0]} hides the package {name} of spinenet-search, which is in {HOME}: {way_out}"
