"""Block kinds from outside the package, joined to the table of kinds before a command reads any spec."""

from collections.abc import Mapping

from foundation import InputError
from nas.options.builder import import_value
from search_space import BlockKind, add_kind

BUILT_BY = ("config", "replay", "proxy", "train", "evaluate", "detect")
"""Commands that build networks of a run's specs, or of a trained detector's."""
RECORDED_BY = ("config", "replay", "proxy", "prepare")
"""Commands that keep the option in their configuration: it is part of what a run solves."""


def join_block_kinds(paths: Mapping[str, str] | None, *, checks_units: bool = False) -> None:
    """Import block kinds and add them to the table.

    Args:
        paths: import path of a `BlockKind` value, as `module.NAME`, by the name of the kind.
        checks_units: import the unit of each kind too, so that a mistake in it is not taken for an architecture's.

    Raises:
        InputError: a path that cannot be imported, no block kind, one of another name, or one that cannot be added.
    """
    if not isinstance(paths, Mapping | None):
        raise InputError(f"block_kinds: needs names with import paths, as block_kinds.mine=module.NAME, got {paths}")

    for name, path in (paths or {}).items():
        where = f"block_kinds.{name}"
        kind = import_value(str(path), where)
        if not isinstance(kind, BlockKind):
            raise InputError(f"{where}: {path} is no BlockKind")
        if kind.name != name:
            raise InputError(f"{where}: {path} is named {kind.name!r}")

        try:
            add_kind(kind)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None

        if checks_units:
            _check_unit(import_value(kind.unit, f"{where}: unit"), kind.unit, where)


def _check_unit(unit: object, path: str, where: str) -> None:
    """Check that the module of a kind can be called on features.

    Raises:
        InputError: it has no `forward` but the one of `nn.Module`, which raises.
    """
    forward = getattr(unit, "forward", None)
    # Known by its name: a command that builds nothing does not load torch.
    if forward is None or forward.__name__ == "_forward_unimplemented":
        raise InputError(f"{where}: unit {path} has no forward, which nn.Module needs")
