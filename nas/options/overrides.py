"""One override of a command line, as Hydra's grammar reads it."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def parsed(override: str) -> "Override | None":
    """Return what Hydra reads in an override; None where it cannot read it."""
    # Imported here so that help does not wait for it.
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def swept_values(override: "Override", choices: Sequence[str], most: int) -> list[str]:
    """Return the values that an override with several has one after another, each as a command line has it.

    Args:
        override: one that Hydra calls a discrete sweep.
        choices: the names that a `glob` chooses from.
        most: the number of values to stop after: a range may be longer than the memory holds.
    """
    from hydra.core.override_parser.types import Glob

    value = override.value()
    if isinstance(value, Glob):
        return value.filter(list(choices))
    return list(islice(override.sweep_string_iterator(), most))
