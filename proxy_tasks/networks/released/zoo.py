"""The networks with released weights: by which name each is imported, and how big it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from foundation import InputError, nearest_hint
from search_space import ArchSpec, ModelScale, published_scale, published_spec

ReleasedHead: TypeAlias = Literal["retinanet", "classifier", "mask_rcnn"]
"""The head that a network was released with."""

_MOBILE = "spinenet-mobile-49"
_CLASSIFIER_SIZE_PX = 224
_LARGEST_MASKS_PX = 1536
_WITH_MASKS = ("spinenet-49", "spinenet-96", "spinenet-143", "spinenet-190")


@dataclass(frozen=True, slots=True)
class ReleasedNetwork:
    """A network that weights were released of.

    Attributes:
        head: its head.
        spec: its topology.
        scale: how big it is.
    """

    head: ReleasedHead
    spec: ArchSpec
    scale: ModelScale


def _released() -> Mapping[str, ReleasedNetwork]:
    """Return all of them: those named best have SiLU, as have 190 and the mobile one, of which there is one each."""
    spec = published_spec("spinenet-49")
    detectors: dict[str, ReleasedNetwork] = {}
    classifiers: dict[str, ReleasedNetwork] = {}
    for name in ("spinenet-49s", "spinenet-49", "spinenet-96", "spinenet-143", "spinenet-190"):
        plain = published_scale(name)
        scales = {name: plain, f"{name}-best": replace(plain, activation="silu")}
        if name == "spinenet-190":
            scales = {name: replace(plain, activation="silu")}
        for key, scale in scales.items():
            detectors[key] = ReleasedNetwork("retinanet", spec, scale)
            if name != "spinenet-49s":
                small = replace(scale, image_size_px=_CLASSIFIER_SIZE_PX)
                classifiers[f"classifier-{key}"] = ReleasedNetwork("classifier", spec, small)

    detectors[_MOBILE] = ReleasedNetwork("retinanet", published_spec(_MOBILE), published_scale(_MOBILE))
    masks: dict[str, ReleasedNetwork] = {}
    for name in _WITH_MASKS:
        scale = detectors[name].scale
        size = _LARGEST_MASKS_PX if name == "spinenet-190" else scale.image_size_px
        masks[f"mask-rcnn-{name}"] = ReleasedNetwork("mask_rcnn", spec, replace(scale, image_size_px=size))
    return detectors | classifiers | masks


RELEASED = _released()
"""By name. Source: tensorflow/tpu MODEL_ZOO.md and configs/spinenet."""


def released_network(name: str, head: ReleasedHead | None = None) -> ReleasedNetwork:
    """Return a released network.

    Args:
        name: its name.
        head: the head that it must have; None for any.

    Raises:
        InputError: there is none of that name, or it has another head.
    """
    known = [key for key, network in RELEASED.items() if head in (None, network.head)]
    if name not in known:
        raise InputError(
            f"no released weights of {name!r} are known; known are {', '.join(known)}{nearest_hint(name, known)}"
        )
    return RELEASED[name]
