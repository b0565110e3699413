"""The file of a trained detector: its weights, and all that is needed to build it, use it and know where it is from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from pydantic import JsonValue, TypeAdapter
from torch import Tensor

from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.batches import IMAGENET, Normalisation
from proxy_tasks.networks.layers import NORM_EPSILON, Reference
from proxy_tasks.networks.torchvision_backbone import REGION_SAMPLES
from proxy_tasks.networks.trained_file import Layout, States, WhichWeights, plain_values, read_trained, write_trained
from search_space import ArchSpec, ModelScale

DETECTOR = Layout("trained detector", 1)
DetectorHead: TypeAlias = Literal["retinanet", "mask_rcnn"]
"""The head of a detector: boxes, or boxes and masks."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class as COCO's annotations have it."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """All that the file of a trained detector says of its weights.

    Attributes:
        name: what to call it in tables, as `quickstart-10`.
        architecture: the spec, or a name out of `network_names()`, as `r50-fpn`.
        scale: size of the network, and of the images that it was trained on.
        categories: those of its K classes, class 0 first. A class without one is named `NO_CATEGORY`.
        weights: which ones are used unless others are asked for; `metrics` are theirs.
        normalisation: of the input.
        reference: released code whose paddings the network has.
        norm_epsilon: of its normalisation.
        head: what it finds; files of versions that had one head alone do not say it.
        counts_last_pixel: whether its box codes are of sizes one pixel larger; see `decode_boxes`.
        candidates_per_class: whether each class has candidates of its own before suppression; see `detect`.
        region_samples: samples along each side of a cell that a region is pooled to, where it finds masks.
        recipe: how it was trained, by the names of its options.
        metrics: figures by name; AP is a fraction in [0, 1].
        run: name of the training's folder; None where it had none.
        search: name of the search's folder that the architecture is from; None where it is from none.
        trial: number of the trial in that search.
        versions: of the packages that did the training, by name.

    Raises:
        ValueError: there is no category, two have the same id, the epsilon is not positive, or regions have no samples.
    """

    name: str
    architecture: ArchSpec | str
    scale: ModelScale
    categories: tuple[Category, ...]
    weights: WhichWeights
    normalisation: Normalisation = IMAGENET
    reference: Reference = "tpu"
    norm_epsilon: float = NORM_EPSILON
    head: DetectorHead = "retinanet"
    counts_last_pixel: bool = False
    candidates_per_class: bool = False
    region_samples: int = REGION_SAMPLES
    recipe: Mapping[str, JsonValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    run: str | None = None
    search: str | None = None
    trial: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [category.id for category in self.categories]
        if not any(category.name != NO_CATEGORY for category in self.categories):
            raise ValueError("categories must hold one category or more")
        if len(set(ids)) < len(ids):
            raise ValueError(f"the ids of categories must differ, got {ids}")
        if not 0 < self.norm_epsilon <= 1:
            raise ValueError(f"norm_epsilon must be above 0 and at most 1, got {self.norm_epsilon}")
        if not 1 <= self.region_samples <= 16:
            raise ValueError(f"region_samples must be 1 to 16, got {self.region_samples}")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, class 0 first."""
        return tuple(category.name for category in self.categories)

    @property
    def unused_classes(self) -> list[int]:
        """The classes that no category has, which are never found."""
        return [k for k, name in enumerate(self.class_names) if name == NO_CATEGORY]


class DetectorFile(NamedTuple):
    """The content of the file of a trained detector.

    Attributes:
        info: what it says of its weights.
        states: the network's state with each kind of weights that there is; `raw` is always there.
    """

    info: DetectorInfo
    states: States


_INFO = TypeAdapter(DetectorInfo)


def save_detector(
    path: Path,
    info: DetectorInfo,
    *,
    raw: Mapping[str, Tensor],
    averaged: Mapping[str, Tensor] | None = None,
    inside: Path | None = None,
) -> None:
    """Write a trained detector as one file, which appears whole or not at all, and is on disk when this returns.

    Args:
        path: the file; by habit `detector.pt` in the folder of the training.
        info: what to say of the weights.
        raw: `state_dict()` of the network after the last step, with its statistics.
        averaged: the same with the average of the weights, and with the statistics that belong to it; None for none.
        inside: folder below which no link is followed; see `write_whole`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
        ValueError: `info` names averaged weights, and there are none.
    """
    write_trained(path, DETECTOR, info_to_json(info), weights=info.weights, raw=raw, averaged=averaged, inside=inside)


def info_to_json(info: DetectorInfo) -> dict[str, JsonValue]:
    """Return what a file says of its weights as plain JSON values."""
    return plain_values(_INFO, info)


def read_detector(path: Path) -> DetectorFile:
    """Read the file of a trained detector. Nothing in it is executed.

    Raises:
        InputError: it is not there, is damaged, of a newer format or no file of a detector.
    """
    return DetectorFile(*read_trained(path, DETECTOR, _INFO))
