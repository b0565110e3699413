"""Architectures by name: those that were published, their scales, and spec files."""

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from foundation import InputError, nearest_hint
from search_space.candidate import Candidate
from search_space.scale import ModelScale
from search_space.spec import ArchSpec
from search_space.spec_file import read_spec

_FOLDER = Path(str(files("search_space"))) / "published"

_MOBILE_49 = ModelScale(endpoint_width=48, head_width=48, image_size_px=384, activation="silu", separable_head=True)

# tensorflow/tpu SCALING_MAP and configs/spinenet. The published checkpoint of 49S, and the paper's figures for it, have
# endpoints 256 wide where the released code says 128 (issue 767 of that repository).
PUBLISHED_SCALES = {
    "spinenet-49s": ModelScale(width_multiplier=0.65, head_width=128),
    "spinenet-49": ModelScale(),
    "spinenet-96": ModelScale(block_repeats=2, image_size_px=1024),
    "spinenet-143": ModelScale(resample_alpha=1.0, block_repeats=3, image_size_px=1280, anchor_scale=4.0),
    "spinenet-143l": ModelScale(
        width_multiplier=1.3, resample_alpha=1.0, block_repeats=3, image_size_px=1280, anchor_scale=4.0
    ),
    "spinenet-190": ModelScale(
        width_multiplier=1.3,
        resample_alpha=1.0,
        block_repeats=4,
        endpoint_width=512,
        num_head_convs=7,
        head_width=512,
        image_size_px=1280,
        anchor_scale=4.0,
    ),
    "spinenet-mobile-49": _MOBILE_49,
    "spinenet-mobile-49s": replace(_MOBILE_49, width_multiplier=0.65, endpoint_width=40, head_width=40),
    "spinenet-mobile-49xs": replace(
        _MOBILE_49, width_multiplier=0.6, endpoint_width=24, head_width=24, image_size_px=256
    ),
}
"""The scales of the published family. One spec, `spinenet-49`, has the first six, `spinenet-mobile-49` the others."""


def published_names() -> tuple[str, ...]:
    """Return the names that `published_spec` knows."""
    return tuple(sorted({*(path.stem for path in _FOLDER.glob("*.json")), *PUBLISHED_SCALES}))


def published_spec(name: str) -> ArchSpec:
    """Return a published architecture, as `spinenet-49`, `r0-sp53` or `r23-sp30`.

    The members of a family are one spec at several scales: `spinenet-96` is the spec of `spinenet-49`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in published_names():
        known = published_names()
        raise InputError(f"unknown published spec {name!r}; known are {', '.join(known)}{nearest_hint(name, known)}")
    if name in PUBLISHED_SCALES:
        name = "spinenet-mobile-49" if "mobile" in name else "spinenet-49"
    return read_spec(_FOLDER / f"{name}.json").spec


def published_scale(name: str) -> ModelScale:
    """Return the scale at which a published architecture was trained; R0-SP53 and R23-SP30 had SpineNet-49's.

    Raises:
        InputError: there is none of that name.
    """
    published_spec(name)
    return PUBLISHED_SCALES.get(name, PUBLISHED_SCALES["spinenet-49"])


@dataclass(frozen=True, slots=True)
class NamedSpec:
    """An architecture with its name and the scale that it was trained at.

    Attributes:
        spec: the architecture.
        name: its published name, or the one in its file.
        scale: the scale that it was trained at; None where its file has none.
    """

    spec: ArchSpec
    name: str
    scale: ModelScale | None

    @property
    def candidate(self) -> Candidate:
        """The architecture at its scale."""
        return Candidate(self.spec, self.scale)


def is_spec_file(name_or_file: str) -> bool:
    """Return whether an option names a spec file, which ends in `.json`, and not a published architecture."""
    return name_or_file.endswith(".json")


def find_spec(name_or_file: str) -> NamedSpec:
    """Return a published architecture by its name, or that of a spec file by its path.

    Raises:
        InputError: no such name, or a file that cannot be used; see `read_spec`.
    """
    if is_spec_file(name_or_file):
        document = read_spec(Path(name_or_file).expanduser())
        return NamedSpec(document.spec, document.name, document.scale)
    return NamedSpec(published_spec(name_or_file), name_or_file, published_scale(name_or_file))


def load_spec(spec: str) -> ArchSpec:
    """Return a published architecture by its name, or that of a spec file by its path; see `find_spec`.

    Raises:
        InputError: no such name, or a file that cannot be used.
    """
    return find_spec(spec).spec
