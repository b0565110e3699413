"""Released detectors: weights out of the reference's checkpoints, as detectors of ours and as their files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foundation import InputError
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.coco_categories import COCO_CATEGORIES
from proxy_tasks.detection.detector import Detector, ready_detector
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.class_names import MAX_CLASSES, named_classes
from proxy_tasks.networks.released.filling import fill_slots, unfilled
from proxy_tasks.networks.released.garden_names import GRAPH, GardenNames
from proxy_tasks.networks.released.prefix import checkpoint_prefix
from proxy_tasks.networks.released.tpu_names import CLASS_BIAS, is_of_training, retinanet_slots
from proxy_tasks.networks.released.variables import Slot
from proxy_tasks.networks.released.zoo import released_network
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, RetinaNet
from proxy_tasks.runtime import pick_device
from search_space import ArchSpec

_TPU_NORM_EPSILON = 1e-4
"""That of tensorflow/tpu's configuration of RetinaNet; its first configurations had 1e-3."""
_GARDEN_NORM_EPSILON = 1e-3
"""That of tensorflow/models' configuration of RetinaNet."""
NUM_COCO_CLASSES = 91
"""COCO's category ids, and the background's 0."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of a checkpoint's variables, and what all networks of the code that wrote it share.

    Attributes:
        reference: the code.
        norm_epsilon: of normalisation, unless another is given.
        class_bias: variable with a value for each class of each anchor.
        slots: returns where each variable goes.
        is_left_out: returns whether a network has no need of a variable.
    """

    reference: Reference
    norm_epsilon: float
    class_bias: str
    slots: Callable[[RetinaNet, ArchSpec], dict[str, Slot]]
    is_left_out: Callable[[str], bool]


def load_released(
    path: Path | str,
    network: str,
    *,
    norm_epsilon: float | None = None,
    averages: bool = True,
    classes: Sequence[str] = (),
    device: str = "auto",
    precision: Precision = "auto",
) -> Detector:
    """Return the detector of a released checkpoint, in inference mode.

    Args:
        path: of the checkpoint: its prefix, as `model.ckpt-187600`, one of its files, or the folder that holds it.
        network: the name of a detector in `RELEASED`, as `spinenet-49s` or `spinenet-49s-best`.
        norm_epsilon: of its normalisation; None for that of the code that it was trained with.
        averages: take averages of weights where the checkpoint has them. In those that tensorflow/models keeps as its
            best, averages and weights have changed places.
        classes: names of its classes but the background, class 1 first; none for COCO's where it has 91 classes, else
            for their numbers.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: an unknown network, no such device, or a checkpoint that is damaged or of another network.
        ValueError: the epsilon is not above 0 and at most 1.
    """
    pick_device(device)
    built, info = read_released(Path(path), network, norm_epsilon=norm_epsilon, averages=averages, classes=classes)
    return ready_detector(built, info, device=device, precision=precision)


def import_released(
    path: Path,
    network: str,
    out: Path,
    *,
    norm_epsilon: float | None = None,
    averages: bool = True,
    classes: Sequence[str] = (),
) -> DetectorInfo:
    """Write the detector of a released checkpoint as a training would, and return what its file says of it.

    Raises:
        InputError: as `load_released`, or it cannot be written.
    """
    built, info = read_released(path, network, norm_epsilon=norm_epsilon, averages=averages, classes=classes)
    save_detector(out, info, raw=built.state_dict())
    return info


def read_released(
    path: Path,
    network: str,
    *,
    norm_epsilon: float | None = None,
    averages: bool = True,
    classes: Sequence[str] = (),
) -> tuple[RetinaNet, DetectorInfo]:
    """Return the network of a released checkpoint with its weights, in the processor's memory, and what it is.

    Raises:
        InputError: as `load_released`.
    """
    released = released_network(network, "retinanet")
    checkpoint = Checkpoint(checkpoint_prefix(path))
    names = _names(checkpoint, averages)
    spec, scale = released.spec, released.scale
    if names.reference == "model_garden":
        # The released checkpoint of 49S has wider endpoints than either code; see `PUBLISHED_SCALES`.
        width = 128 if network.startswith("spinenet-49s") else scale.endpoint_width
        scale = replace(scale, activation="silu", endpoint_width=width)
    info = DetectorInfo(
        name=network,
        architecture=spec,
        scale=scale,
        categories=released_categories(_num_classes(checkpoint, names.class_bias), classes, checkpoint.prefix),
        weights="raw",
        reference=names.reference,
        norm_epsilon=names.norm_epsilon if norm_epsilon is None else norm_epsilon,
        counts_last_pixel=names.reference == "tpu",
        candidates_per_class=True,
    )

    built = unfilled(lambda: build_detector(spec, scale, len(info.categories), names.reference))
    fill_slots(names.slots(built, spec), checkpoint, network, names.is_left_out)
    return built, info


def _names(checkpoint: Checkpoint, averages: bool) -> _Names:
    """Return the names of the code that wrote a checkpoint."""
    if checkpoint.has_text(GRAPH):
        garden = GardenNames(checkpoint, averages=averages)
        return _Names("model_garden", _GARDEN_NORM_EPSILON, garden.class_bias, garden.slots, garden.is_left_out)
    return _Names("tpu", _TPU_NORM_EPSILON, CLASS_BIAS, retinanet_slots, is_of_training)


def _num_classes(checkpoint: Checkpoint, class_bias: str) -> int:
    """Return the number of classes that a checkpoint has; COCO's where it has none, which is then found missing."""
    if class_bias not in checkpoint:
        return NUM_COCO_CLASSES
    shape = checkpoint.shape(class_bias)
    num_values = shape[0] if len(shape) == 1 else 0
    num_classes, rest = divmod(num_values, NUM_ANCHORS_PER_LOCATION)
    if rest or not 1 < num_classes <= MAX_CLASSES:
        raise InputError(
            f"{checkpoint.prefix}: {class_bias} of {shape} is of no 2 to {MAX_CLASSES:,} classes at "
            f"{NUM_ANCHORS_PER_LOCATION} anchors"
        )
    return num_classes


def released_categories(num_classes: int, classes: Sequence[str], prefix: Path) -> tuple[Category, ...]:
    """Return the category of each class, whose number is its id; 0 is the background.

    Raises:
        InputError: names were given that do not fit.
    """
    if not classes and num_classes == NUM_COCO_CLASSES:
        return tuple(Category(k, COCO_CATEGORIES.get(k, NO_CATEGORY)) for k in range(num_classes))
    names = named_classes(classes, num_classes, prefix)
    return (Category(0, NO_CATEGORY), *(Category(k, name) for k, name in enumerate(names, start=1)))
