"""From a composed configuration to the objects it names, every value checked on the way."""

import inspect
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from foundation import InputError, absolute_path, first_error

T = TypeVar("T")


def build(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """Call `cls` with the values of `node`.

    Values are converted to the types in the signature and checked against them. A value that is a mapping with
    `_target_` is built first; paths become absolute, as workers run in other folders.

    Raises:
        InputError: see `build_setup`.
    """
    values = {name: _build_value(value, f"{where}.{name}".lstrip(".")) for name, value in node.items()}
    try:
        arguments = _arguments_model(cls)
    except (TypeError, ValueError, KeyError, NameError) as error:
        raise InputError(f"{where}._target_: {cls} cannot be called with named options: {error}") from None
    try:
        checked = arguments.model_validate(values)
        given = {name: getattr(checked, name) for name in checked.model_fields_set}
        return cls(**{name: _absolute(value) for name, value in given.items()})
    except ValidationError as error:
        problem = first_error(error)
        raise InputError(f"{where}.{problem}".lstrip(".")) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from None


def _build_value(value: Any, where: str) -> Any:  # noqa: ANN401  # any YAML value
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: needs a finite number, got {value}")
    if value == "":
        raise InputError(f"{where}: needs a value")
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return {name: _build_value(v, f"{where}.{name}") for name, v in value.items()}
    target = _locate(str(value["_target_"]), where)
    return build(target, {name: v for name, v in value.items() if name != "_target_"}, where)


def _absolute(value: object) -> object:
    """Return a path, or several, as absolute ones, as workers run in other folders; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_absolute(one) for one in value)
    return absolute_path(value) if isinstance(value, Path) else value


def _locate(path: str, where: str) -> type[Any]:
    module_name, _, name = path.rpartition(".")
    try:
        target = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{where}._target_: cannot import {path}: {error}") from None
    if not callable(target):
        raise InputError(f"{where}._target_: {path} is no class or function")
    found: type[Any] = target
    return found


def _arguments_model(target: type[Any]) -> type[BaseModel]:
    """Return a pydantic model of the arguments of a class or function."""
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(target).parameters.items()
    }
    return create_model(target.__name__, __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"), **fields)
