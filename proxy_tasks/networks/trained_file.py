"""The file of a trained network of any kind: its weights, and plain values that say what they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from pydantic import JsonValue, TypeAdapter, ValidationError
from torch import Tensor

from foundation import InputError, first_error
from proxy_tasks.networks.torch_file import UnusableWeightsError, read_torch_file, state_on_cpu, write_torch_file

WhichWeights: TypeAlias = Literal["averaged", "raw"]
"""The average of the weights over the training, or the weights after its last step."""
Kind: TypeAlias = Literal["trained detector", "trained classifier"]
States: TypeAlias = Mapping[WhichWeights, Mapping[str, Tensor]]
"""The network's state with each kind of weights that there is; `raw` is always there."""
T = TypeVar("T")


class Layout(NamedTuple):
    """The kind of a file, as it stands in it.

    Attributes:
        kind: what it holds, as `trained detector`.
        format: number of its layout; files of a higher one are refused.
    """

    kind: Kind
    format: int


def write_trained(
    path: Path,
    layout: Layout,
    info: Mapping[str, JsonValue],
    *,
    weights: WhichWeights,
    raw: Mapping[str, Tensor],
    averaged: Mapping[str, Tensor] | None,
    inside: Path | None,
) -> None:
    """Write a trained network as one file, which appears whole or not at all, and is on disk when this returns.

    Args:
        path: the file.
        layout: its kind.
        info: what to say of the weights, as `plain_values` returns it.
        weights: those that are used unless others are asked for.
        raw: `state_dict()` of the network after the last step, with its statistics.
        averaged: the same with the average of the weights, and with the statistics that belong to it; None for none.
        inside: folder below which no link is followed; see `write_whole`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
        ValueError: averaged weights are to be used, and there are none.
    """
    if weights == "averaged" and averaged is None:
        raise ValueError("info names averaged weights, but none were given")

    states = {"raw": state_on_cpu(raw)}
    if averaged is not None:
        states["averaged"] = state_on_cpu(averaged)
    content = {"kind": layout.kind, "format": layout.format, "info": dict(info), "states": states}
    write_torch_file(path, content, inside=inside)


def plain_values(adapter: TypeAdapter[T], info: T) -> dict[str, JsonValue]:
    """Return what a file says of its weights as plain JSON values."""
    # By way of JSON: torch reads a number of NumPy's, as metrics may be, only where it may run code.
    plain: dict[str, JsonValue] = json.loads(json.dumps(adapter.dump_python(info, mode="json")))
    return plain


def read_trained(path: Path, layout: Layout, adapter: TypeAdapter[T]) -> tuple[T, States]:
    """Return what a file says of its weights, and the weights. Nothing in it is executed.

    Raises:
        InputError: it is not there, is damaged, of a newer format or of another kind.
    """
    content = _content(path)
    kind = content.get("kind")
    if kind != layout.kind:
        found = f", but a {kind}" if kind in get_args(Kind) else ": needed is a file that nas.train has written"
        raise InputError(f"{path} holds no {layout.kind}{found}")
    if content.get("format") != layout.format:
        raise InputError(
            f"{path} is of format {content.get('format')}, this version reads format {layout.format}: update "
            "spinenet-search"
        )
    return _read_info(content.get("info"), path, adapter), _read_states(content.get("states"), path)


def read_any(path: Path) -> tuple[Mapping[str, JsonValue], Mapping[str, Tensor]]:
    """Return what a file of a trained network of any kind says of its weights, as plain values, and the weights.

    Of averaged and raw weights, those that are used. Nothing in the file is executed.

    Raises:
        InputError: it is not there, is damaged or holds no trained network.
    """
    content = _content(path)
    info, states = content.get("info"), _read_states(content.get("states"), path)
    if content.get("kind") not in get_args(Kind) or not isinstance(info, dict):
        raise InputError(f"{path} holds no trained network: needed is a file that nas.train has written")
    return info, states.get(info.get("weights", "raw"), states["raw"])


def kind_of(path: Path) -> str | None:
    """Return the kind of a file of a trained network; None for a file that is none.

    Raises:
        InputError: it is not there, or is damaged.
    """
    kind = _content(path).get("kind")
    return kind if isinstance(kind, str) else None


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_torch_file(path)
    except UnusableWeightsError as error:
        raise InputError(str(error)) from None
    return content if isinstance(content, dict) else {}


def _read_info(value: Any, path: Path, adapter: TypeAdapter[T]) -> T:  # noqa: ANN401  # whatever the file holds
    # By way of JSON, in which a list stands for a tuple.
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{path} says nothing of its weights that can be read") from None


def _read_states(value: Any, path: Path) -> dict[WhichWeights, dict[str, Tensor]]:  # noqa: ANN401  # as above
    states = value if isinstance(value, dict) else {}
    known: tuple[WhichWeights, ...] = get_args(WhichWeights)
    found = {which: states[which] for which in known if which in states}
    if "raw" not in found or not all(_is_state(state) for state in found.values()):
        raise InputError(f"{path} holds no weights")
    return found


def _is_state(value: Any) -> bool:  # noqa: ANN401  # as above
    return isinstance(value, dict) and all(isinstance(tensor, Tensor) for tensor in value.values())
