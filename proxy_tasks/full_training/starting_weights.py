"""The weights that a training starts from: those of a trained network, whose classes or whose head may be others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from foundation import InputError, short_path
from proxy_tasks.classification.classifier_file import CLASSIFIER, read_classifier
from proxy_tasks.detection.detector_file import DetectorInfo, read_detector
from proxy_tasks.full_training.class_rows import with_known_classes
from proxy_tasks.full_training.head_names import HeadName
from proxy_tasks.networks.head_parts import BACKBONE, OF_CLASSES
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.torchvision_backbone import REGION_SAMPLES
from proxy_tasks.networks.trained_file import kind_of
from search_space import ArchSpec, ModelScale

_OF_PIXELS = "class_tower.predict.0."
"""The part of a separable prediction that comes before classes."""


@dataclass(frozen=True, slots=True)
class Start:
    """A trained network to start from, of any head.

    Attributes:
        head: its head.
        name: what it is called in tables.
        architecture: its spec, or its name.
        scale: size of the network.
        class_names: of its classes.
        reference: released code whose paddings the network has.
        norm_epsilon: of its normalisation.
        counts_last_pixel: see `DetectorInfo`; False of a classifier.
        candidates_per_class: the same.
        region_samples: the same; those of new networks of a classifier.
        search: name of the search that the architecture is from; None for none.
        trial: number of the trial in that search.
        state: its weights; the averaged ones where its file names these.
    """

    head: HeadName
    name: str
    architecture: ArchSpec | str
    scale: ModelScale
    class_names: tuple[str, ...]
    reference: Reference
    norm_epsilon: float
    counts_last_pixel: bool
    candidates_per_class: bool
    region_samples: int
    search: str | None
    trial: int | None
    state: Mapping[str, Tensor]


def read_start(path: Path) -> Start:
    """Read the file of a trained network of any head. Nothing in it is executed.

    Raises:
        InputError: it is not there, is damaged, of a newer format or holds no trained network.
    """
    is_classifier = kind_of(path) == CLASSIFIER.kind
    info, states = read_classifier(path) if is_classifier else read_detector(path)
    detector = info if isinstance(info, DetectorInfo) else None
    return Start(
        head="classifier" if detector is None else detector.head,
        name=info.name,
        architecture=info.architecture,
        scale=info.scale,
        class_names=info.class_names,
        reference=info.reference,
        norm_epsilon=info.norm_epsilon,
        counts_last_pixel=detector is not None and detector.counts_last_pixel,
        candidates_per_class=detector is not None and detector.candidates_per_class,
        region_samples=REGION_SAMPLES if detector is None else detector.region_samples,
        search=info.search,
        trial=info.trial,
        state=states[info.weights],
    )


def fill(network: nn.Module, start: Start, path: Path, head: HeadName, class_names: tuple[str, ...]) -> None:
    """Fill a new network from a trained one; what the trained one has nothing for stays new.

    That is the layer that predicts classes, for those whose names it does not know, and all but the backbone where the
    head differs. A Mask R-CNN's layers of classes are new where any class differs.

    Args:
        network: the network to fill.
        start: the trained one.
        path: of its file, for messages.
        head: of the network to fill.
        class_names: of the network's classes.

    Raises:
        InputError: the weights are of another network.
    """
    state = dict(start.state)
    own: dict[str, Tensor] = network.state_dict()
    if start.head != head:
        begins, there = BACKBONE[head], BACKBONE[start.head]
        state = {begins + name.removeprefix(there): t for name, t in state.items() if name.startswith(there)}
        state |= {name: tensor for name, tensor in own.items() if not name.startswith(begins)}
    elif start.class_names != class_names:
        state |= _of_classes(own, start, head, class_names)

    for name in dict.fromkeys([*own, *state]):
        if name not in state or name not in own or state[name].shape != own[name].shape:
            raise InputError(
                f"weights={short_path(path)} are of another network: {name} differs; leave out spec= and scale= "
                "to take those of the file"
            )
    network.load_state_dict(state)


def _of_classes(
    own: Mapping[str, Tensor], start: Start, head: HeadName, class_names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return the layers that depend on classes, for a network whose classes are others than those of the start."""
    if head == "mask_rcnn":
        return {name: tensor for name, tensor in own.items() if name.startswith(OF_CLASSES[head])}
    (layer,) = OF_CLASSES[head]
    filled = with_known_classes(own, start.state, layer, class_names, start.class_names)
    return filled | {name: tensor for name, tensor in start.state.items() if name.startswith(_OF_PIXELS)}
