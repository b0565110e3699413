"""The file of a trained classifier: its weights, and all that is needed to build and use it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue, TypeAdapter, ValidationError
from torch import Tensor

from foundation import InputError, first_error
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.batches import IMAGENET, Normalisation
from proxy_tasks.networks.layers import NORM_EPSILON, Reference
from proxy_tasks.networks.torch_file import UnusableWeightsError, read_torch_file, state_on_cpu, write_torch_file
from search_space import ArchSpec, ModelScale

FORMAT = 1
"""Number of this layout; files of a higher one are refused."""
KIND = "trained classifier"
"""The word by which such a file says that it is one."""


@dataclass(frozen=True, slots=True)
class ClassifierInfo:
    """All that the file of a trained classifier says of its weights.

    Attributes:
        name: what to call it.
        architecture: the spec, or a name out of `network_names()`.
        scale: size of the network, and of the images that it was trained on.
        class_names: of its K classes, class 0 first; `NO_CATEGORY` for one that is never found.
        weights: which of the file's weights are used, of which there is one kind.
        normalisation: of the input.
        reference: released code whose paddings the network has.
        norm_epsilon: of its normalisation.
        metrics: figures by name.

    Raises:
        ValueError: there is no class, or the epsilon is not positive.
    """

    name: str
    architecture: ArchSpec | str
    scale: ModelScale
    class_names: tuple[str, ...]
    weights: Literal["raw"] = "raw"
    normalisation: Normalisation = IMAGENET
    reference: Reference = "tpu"
    norm_epsilon: float = NORM_EPSILON
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(name != NO_CATEGORY for name in self.class_names):
            raise ValueError("class_names must hold one class or more")
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
        states: the network's state, as `raw`.
    """

    info: ClassifierInfo
    states: Mapping[str, Mapping[str, Tensor]]


_INFO = TypeAdapter(ClassifierInfo)


def save_classifier(path: Path, info: ClassifierInfo, *, raw: Mapping[str, Tensor]) -> None:
    """Write a trained classifier as one file, which appears whole or not at all, and is on disk when this returns.

    Args:
        path: the file.
        info: what to say of the weights.
        raw: `state_dict()` of the `Classifier`.

    Raises:
        InputError: it cannot be written; what was there before is untouched.
    """
    content = {"kind": KIND, "format": FORMAT, "info": classifier_info_to_json(info)}
    write_torch_file(path, content | {"states": {"raw": state_on_cpu(raw)}})


def classifier_info_to_json(info: ClassifierInfo) -> dict[str, JsonValue]:
    """Return what a file says of its weights as plain JSON values."""
    plain: dict[str, JsonValue] = json.loads(json.dumps(_INFO.dump_python(info, mode="json")))
    return plain


def read_classifier(path: Path) -> ClassifierFile:
    """Read the file of a trained classifier. Nothing in it is executed.

    Raises:
        InputError: it is not there, is damaged, of a newer format or no file of a classifier.
    """
    try:
        content = read_torch_file(path)
    except UnusableWeightsError as error:
        raise InputError(str(error)) from None

    if not is_classifier(content):
        raise InputError(f"{path} holds no trained classifier")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path} is of format {content.get('format')}, this version reads format {FORMAT}: update spinenet-search"
        )
    states = content.get("states")
    state = states.get("raw") if isinstance(states, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{path} holds no weights")
    return ClassifierFile(_read_info(content.get("info"), path), {"raw": state})


def is_classifier(content: Any) -> bool:  # noqa: ANN401  # whatever a file of torch holds
    """Return whether what a file of torch holds is a trained classifier, of whatever format."""
    return isinstance(content, dict) and content.get("kind") == KIND


def _read_info(value: Any, path: Path) -> ClassifierInfo:  # noqa: ANN401  # as above
    # By way of JSON, in which a list stands for a tuple.
    try:
        return _INFO.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{path} says nothing of its weights that can be read") from None
