"""The start of a worker in a folder that has packages of our names: ours are imported all the same."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from foundation import current_folder
from nas.own_packages import HOME, OWN_PACKAGES


def worker_environment() -> dict[str, Any]:
    """Return the options of `ray.init` with which workers import our packages; none where they do anyway.

    Ray has its workers look for modules in the driver's folder before any other.
    """
    here = current_folder()
    has_our_names = any((here / name).is_dir() or (here / f"{name}.py").exists() for name in OWN_PACKAGES)
    if not has_our_names or here.samefile(HOME):
        return {}
    return {"runtime_env": {"worker_process_setup_hook": _importer_of_ours(str(HOME), OWN_PACKAGES)}}


def _importer_of_ours(home: str, names: tuple[str, ...]) -> Callable[[], None]:
    """Return what a worker calls as it starts: once our packages are imported, no others are looked for."""

    # Defined here, it travels as code; a function of a module would be looked for in the module.
    def import_ours() -> None:
        import sys

        sys.path.insert(0, home)
        for name in names:
            import_module(name)

    return import_ours
