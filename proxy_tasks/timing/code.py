"""The code that makes a network: its time is known no more once another version of it is there."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from search_space import ArchSpec
from search_space.kinds import BlockKind, added_kinds

_PACKAGES = ("spinenet-search", "torch", "torchvision")
_FILE_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Those by which a network is written as a file, and what computes in it is checked."""


def code_of(architecture: str | ArchSpec, *, needs_onnx: bool) -> Mapping[str, str]:
    """Return the versions of the packages that make a network, and SHA-256 of each kind of block from outside them."""
    packages = (*_PACKAGES, *(_FILE_PACKAGES if needs_onnx else ()))
    return {name: _version(name) for name in packages} | _kinds_of(architecture)


def _kinds_of(architecture: str | ArchSpec) -> dict[str, str]:
    # What has a published name is of the package's own kinds.
    if isinstance(architecture, str):
        return {}
    used = {block.kind for block in architecture.stem} | {block.kind for block in architecture.blocks}
    return {f"kind {kind.name}": _digest(kind) for kind in added_kinds() if kind.name in used}


def _digest(kind: BlockKind) -> str:
    """Return the SHA-256 of an entry of the table and of the module that its unit stands in."""
    found = find_spec(kind.unit.rpartition(".")[0])
    source = b"" if found is None or not found.has_location else Path(str(found.origin)).read_bytes()
    return hashlib.sha256(repr(kind).encode() + source).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
