"""The file of a trained classifier: its weights, and all that is needed to build it, use it and know its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue, TypeAdapter
from torch import Tensor

from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.batches import IMAGENET, Normalisation
from proxy_tasks.networks.layers import NORM_EPSILON, Reference
from proxy_tasks.networks.trained_file import Layout, States, WhichWeights, plain_values, read_trained, write_trained
from search_space import ArchSpec, ModelScale

CLASSIFIER = Layout("trained classifier", 1)


@dataclass(frozen=True, slots=True)
class ClassifierInfo:
    """All that the file of a trained classifier says of its weights.

    Attributes:
        name: what to call it in tables, as `quickstart-10`.
        architecture: the spec, or a name out of `network_names()`, as `r50-fpn`.
        scale: size of the network, and of the images that it was trained on.
        class_names: of its K classes, class 0 first. Data is known by these names: those of ImageNet are the names of
            its folders, as `n01440764`. One that is never found, as a background, is named `NO_CATEGORY`.
        weights: which ones are used unless others are asked for; `metrics` are theirs.
        normalisation: of the input.
        reference: released code whose paddings the network has.
        norm_epsilon: of its normalisation.
        recipe: how it was trained, by the names of its options.
        metrics: figures by name; `top1` and `top5` are fractions in [0, 1].
        run: name of the training's folder; None where it had none.
        search: name of the search's folder that the architecture is from; None where it is from none.
        trial: number of the trial in that search.
        versions: of the packages that did the training, by name.

    Raises:
        ValueError: there are fewer than two classes, two have the same name, or the epsilon is not positive.
    """

    name: str
    architecture: ArchSpec | str
    scale: ModelScale
    class_names: tuple[str, ...]
    weights: WhichWeights
    normalisation: Normalisation = IMAGENET
    reference: Reference = "tpu"
    norm_epsilon: float = NORM_EPSILON
    recipe: Mapping[str, JsonValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    run: str | None = None
    search: str | None = None
    trial: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise ValueError(f"class_names must be two or more, got {list(self.class_names)}")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("the names of classes must differ")
        if not 0 < self.norm_epsilon <= 1:
            raise ValueError(f"norm_epsilon must be above 0 and at most 1, got {self.norm_epsilon}")

    @property
    def unused_classes(self) -> list[int]:
        """The classes that are never found, as a background."""
        return [k for k, name in enumerate(self.class_names) if name == NO_CATEGORY]


class ClassifierFile(NamedTuple):
    """The content of the file of a trained classifier.

    Attributes:
        info: what it says of its weights.
        states: the network's state with each kind of weights that there is; `raw` is always there.
    """

    info: ClassifierInfo
    states: States


_INFO = TypeAdapter(ClassifierInfo)


def save_classifier(
    path: Path,
    info: ClassifierInfo,
    *,
    raw: Mapping[str, Tensor],
    averaged: Mapping[str, Tensor] | None = None,
    inside: Path | None = None,
) -> None:
    """Write a trained classifier as one file, which appears whole or not at all, and is on disk when this returns.

    Args:
        path: the file; by habit `classifier.pt` in the folder of the training.
        info: what to say of the weights.
        raw: `state_dict()` of the `Classifier` after the last step, with its statistics.
        averaged: the same with the average of the weights, and with the statistics that belong to it; None for none.
        inside: folder below which no link is followed; see `write_whole`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
        ValueError: `info` names averaged weights, and there are none.
    """
    plain = classifier_info_to_json(info)
    write_trained(path, CLASSIFIER, plain, weights=info.weights, raw=raw, averaged=averaged, inside=inside)


def classifier_info_to_json(info: ClassifierInfo) -> dict[str, JsonValue]:
    """Return what a file says of its weights as plain JSON values."""
    return plain_values(_INFO, info)


def read_classifier(path: Path) -> ClassifierFile:
    """Read the file of a trained classifier. Nothing in it is executed.

    Raises:
        InputError: it is not there, is damaged, of a newer format or no file of a classifier.
    """
    return ClassifierFile(*read_trained(path, CLASSIFIER, _INFO))
