"""Classes of a package that are imported when they are first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def lazy_class(package: str, modules: Mapping[str, str], name: str) -> type[Any]:
    """Import a class that YAML names by its package, as `controllers.RandomSearch`; for the package's `__getattr__`.

    Args:
        package: its name.
        modules: the module of each class, by the name of the class.
        name: name that was asked for.

    Raises:
        AttributeError: the package has no such class.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    found: type[Any] = getattr(import_module(f"{package}.{modules[name]}"), name)
    return found
