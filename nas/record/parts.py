"""A part of a recorded configuration as a typed value."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from foundation import InputError, first_error

T = TypeVar("T")


def recorded_part(cls: type[T], config: Mapping[str, Any], name: str) -> T:
    """Return a part of a recorded configuration as a value.

    Raises:
        InputError: it is not on record, or is none of this class.
    """
    try:
        return TypeAdapter(cls).validate_python(config.get(name))
    except ValidationError as error:
        raise InputError(f"the run's configuration has no usable {name}: {first_error(error)}") from None
