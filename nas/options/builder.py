"""The typed builder: objects out of a composed configuration, with every value checked on the way."""

import inspect
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from foundation import InputError, absolute_path, first_error, nearest

T = TypeVar("T")


def build(cls: type[T], node: Mapping[str, Any], where: str) -> T:
    """Call `cls` with the values of `node`.

    Values are converted to the types in the signature and checked against them. A value that is a mapping with
    `_target_` is built first, and so is one for a parameter that is a dataclass or has open options itself. A parameter
    `**name: T` makes the options open: any further name is taken, and its value built as a `T`. Paths become absolute,
    as workers run in other folders.

    Args:
        cls: a class or function that takes named options.
        node: its options by name.
        where: name of `node` in the whole configuration, for messages; empty for the root.

    Raises:
        InputError: a name that is not known, a value of the wrong type or out of range; the message names the option.
    """
    try:
        options = _options_of(cls)
    except (TypeError, ValueError, KeyError, NameError) as error:
        raise InputError(f"{where}._target_: {cls} cannot be called with named options: {error}") from None

    values = {}
    for name, value in node.items():
        hint = options.hint(name)
        if hint is None:
            raise InputError(_unknown_option(cls, name, list(options.hints), where))
        values[name] = _build_value(value, hint, f"{where}.{name}".lstrip("."))

    try:
        return cls(**_checked(options, values))
    except ValidationError as error:
        raise InputError(f"{where}.{first_error(error)}".lstrip(".")) from None
    except InputError:
        # A ValueError too, but it names its option already.
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from None


def import_value(path: str, where: str) -> Any:  # noqa: ANN401  # whatever a module holds
    """Import the value that `module.NAME` names.

    Raises:
        InputError: there is no such module, or nothing of that name in it.
    """
    module_name, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        raise InputError(f"{where}: cannot import {path}: {error}") from None


def option_types(config: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    """Return the types that an option may have, as `str` and `None`; none where nobody can tell.

    Args:
        config: the configuration, with the class of the whole as `_target_`.
        name: the option's whole name.
    """
    parts = name.split(".")
    nodes: list[Any] = [config]
    for part in parts[:-1]:
        nodes.append(nodes[-1].get(part) if isinstance(nodes[-1], Mapping) else None)

    # The innermost class that the configuration names is the one to ask: those around it need not be imported.
    depth = max(i for i, node in enumerate(nodes) if isinstance(node, Mapping) and "_target_" in node)
    try:
        owner = import_value(str(nodes[depth]["_target_"]), name)
        hints = _alternatives(_options_of(owner).hint(parts[depth]))
        for part in parts[depth + 1 :]:
            hints = _types_below(hints, part)
    except (InputError, TypeError, ValueError, KeyError, NameError):
        # Building it says what is wrong.
        return ()
    # An option that the owner does not have is of no type.
    return tuple(hint for hint in hints if hint is not None)


def _types_below(hints: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """Return the types of an option below a part that may have these types; none where none of them has options."""
    for hint in hints:
        if get_origin(hint) in (dict, Mapping):
            return _alternatives(get_args(hint)[1])
        if _is_buildable(hint):
            return _alternatives(_options_of(hint).hint(name))
    return ()


def _alternatives(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401  # any type hint
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


@dataclass(frozen=True, slots=True)
class _Options:
    """The named options of a class or function.

    Attributes:
        hints: type of each option that is listed.
        defaults: values of those that have one.
        open_hint: type of any further option; None where there are none.
    """

    hints: Mapping[str, Any]
    defaults: Mapping[str, Any]
    open_hint: Any

    def hint(self, name: str) -> Any:  # noqa: ANN401  # any type hint
        """Return the type of an option; None where there is no such option."""
        return self.hints.get(name, self.open_hint)


def _options_of(target: type[Any]) -> _Options:
    listed: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    open_hint = None
    if inspect.isclass(target) and getattr(target.__init__, "__module__", None) == "typing":
        # A class without a constructor that inherits a protocol's: it takes nothing.
        return _Options(listed, defaults, open_hint)

    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_hint = hints.get(name)
            continue
        if name not in hints:
            raise TypeError(f"its parameter {name} has no type")
        listed[name] = hints[name]
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
    return _Options(listed, defaults, open_hint)


def _unknown_option(cls: type[Any], name: str, known: list[str], where: str) -> str:
    close = nearest(name, known)
    hint = f" (did you mean {close}?)" if close else ""
    owner = f"{cls.__name__} has" if where else "there are"
    return f"{where}: no option {name}{hint}; {owner} {', '.join(known) or 'none'}".removeprefix(": ")


def _build_value(value: Any, hint: Any, where: str) -> Any:  # noqa: ANN401  # any YAML value and type
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: needs a finite number, got {value}")
    # Hydra reads `name=` as empty text; null is how an option is left empty.
    if value == "":
        raise InputError(f"{where}: needs a value")
    if not isinstance(value, Mapping):
        return value

    if "_target_" in value:
        path = str(value["_target_"])
        target = import_value(path, f"{where}._target_")
        if not callable(target):
            raise InputError(f"{where}._target_: {path} is no class or function")
        built = build(target, {name: v for name, v in value.items() if name != "_target_"}, where)
        _check_members(built, hint, path, where)
        return built

    # Without `_target_` the type decides: the first alternative of a union that takes a mapping.
    for alternative in _alternatives(hint):
        if _is_buildable(alternative):
            return build(alternative, value, where)

    # A mapping that stays one: there may be objects to build inside.
    return {name: _build_value(v, Any, f"{where}.{name}") for name, v in value.items()}


def _is_buildable(hint: Any) -> bool:  # noqa: ANN401  # any type hint
    """Return whether a mapping without `_target_` becomes an object of this type: a dataclass, or open options."""
    if not inspect.isclass(hint) or issubclass(hint, BaseModel):
        return False
    if is_dataclass(hint):
        return True
    if not inspect.isfunction(hint.__init__):
        return False

    # A protocol's own constructor takes any options too, but gives no type for them.
    typed = get_type_hints(hint.__init__)
    parameters = inspect.signature(hint).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD and parameter.name in typed for parameter in parameters)


def _checked(options: _Options, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values converted to the types of their options.

    Raises:
        ValidationError: a value of the wrong type, or none for an option without a default.
    """
    # Options are aliases: as field names some, as `copy` or `schema`, would hide what every pydantic model has.
    names = list(dict.fromkeys([*options.hints, *values]))
    fields: dict[str, Any] = {}
    for i, name in enumerate(names):
        default = options.defaults.get(name, ...)
        fields[f"option{i}"] = (options.hint(name), Field(default, alias=name))
    model = create_model("Options", __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"), **fields)

    # Only what was given is handed on: for the rest the signature has its own defaults.
    checked = model.model_validate(values)
    return {name: _absolute(getattr(checked, f"option{i}")) for i, name in enumerate(names) if name in values}


def _check_members(value: object, contract: Any, path: str, where: str) -> None:  # noqa: ANN401  # any type hint
    """Check that an object has what its contract asks for, where that is a protocol.

    A member that is inherited from the contract itself is none: it would do nothing, in silence.

    Raises:
        InputError: it lacks a part of that; what has nothing of it is something else altogether, and told elsewhere.
    """
    if not getattr(contract, "_is_protocol", False):
        return

    needed = [name for name in dir(contract) if not name.startswith("_")]
    lacking = [name for name in needed if not _has(value, name)]
    if lacking and (len(lacking) < len(needed) or isinstance(value, contract)):
        raise InputError(f"{where}: {path} has no {', '.join(lacking)}, which {contract.__name__} needs")


def _has(value: object, name: str) -> bool:
    """Return whether an object has an attribute of its own, which no protocol has given it."""
    owner = next((cls for cls in type(value).__mro__ if name in vars(cls)), None)
    return hasattr(value, name) if owner is None else not getattr(owner, "_is_protocol", False)


def _absolute(value: object) -> object:
    """Make a path, or several, absolute, as workers run in other folders; return anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_absolute(one) for one in value)
    return absolute_path(value) if isinstance(value, Path) else value
