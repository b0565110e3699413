"""Spec files: one JSON document for published, found and hand-made architectures."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from foundation import InputError, first_error, write_whole
from search_space.candidate import Candidate
from search_space.scale import ModelScale
from search_space.spec import ArchSpec


class Provenance(BaseModel):
    """The origin of an exported spec.

    Attributes:
        run: name of the run folder.
        trial: number of the trial in that run.
        seed: seed of the run.
        reward: what the controller was told.
        metrics: as the proxy task reported them; AP is a fraction in [0, 1].
        fidelity: how much of the proxy task was trained.
        versions: of the packages that did the training, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run: str
    trial: int
    seed: int
    reward: float
    metrics: dict[str, float]
    fidelity: dict[str, float | None]
    versions: dict[str, str]


class SpecFile(BaseModel):
    """One architecture as a file.

    Attributes:
        schema_version: of this layout; files of another version are refused.
        name: what to call the architecture in tables.
        key: canonical key of the spec or, where its scale was searched, of spec and scale. May be left out in files
            written by hand; when there, it must agree.
        spec: the topology.
        scale: the scale it was trained at, or was found with; absent where the file states a topology only.
        provenance: for specs that a search found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1]
    name: str
    key: str | None = None
    spec: ArchSpec
    scale: ModelScale | None = None
    provenance: Provenance | None = None


def write_spec(path: Path, document: SpecFile, *, inside: Path | None = None) -> None:
    """Write the document as indented JSON, whole or not at all; see `write_whole`.

    Raises:
        InputError: the folder cannot be written.
    """
    write_whole(path, document.model_dump_json(indent=1).encode() + b"\n", inside=inside)


def read_spec(path: str | Path) -> SpecFile:
    """Read and check a spec file.

    Raises:
        InputError: no such file, not JSON, truncated, an unknown key or a broken rule; the message names the place.
    """
    try:
        text = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        # A ValueError is a path that no system takes, as one with a null byte.
        raise InputError(f"cannot read spec {path}: {getattr(error, 'strerror', error)}") from None

    try:
        document = SpecFile.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None

    # The key covers all that was searched: what was edited and kept its key is noticed.
    keys = (document.spec.key, Candidate(document.spec, document.scale).key)
    if document.key is not None and document.key not in keys:
        raise InputError(f"{path}: key: the spec's own key is {document.spec.key}, got {document.key}")
    return document


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of spec files, for editors and other programs."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SpecFile.model_json_schema()}


_SPEC = TypeAdapter(ArchSpec)


def spec_to_json(spec: ArchSpec) -> dict[str, Any]:
    """Return the spec as plain JSON values, the `spec` part of a spec file."""
    value: dict[str, Any] = _SPEC.dump_python(spec, mode="json")
    return value
