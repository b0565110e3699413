"""Released detectors: weights out of tensorflow/tpu's checkpoints, as detectors of ours and as their files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from foundation import InputError, nearest_hint
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.coco.coco_categories import COCO_CATEGORIES
from proxy_tasks.detection.detector import Detector, ready_detector
from proxy_tasks.detection.detector_file import Category, DetectorInfo, save_detector
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.filling import fill_slots
from proxy_tasks.networks.released.prefix import checkpoint_prefix
from proxy_tasks.networks.released.tpu_names import CLASS_BIAS, is_of_training, retinanet_slots
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, RetinaNet
from proxy_tasks.runtime import pick_device
from search_space import ModelScale, published_scale, published_spec

TPU_NORM_EPSILON = 1e-4
"""That of normalisation in tensorflow/tpu's configuration of RetinaNet; its first configurations had 1e-3."""
_NUM_COCO_CLASSES = 91
"""COCO's category ids, and the background's 0."""
_MAX_CLASSES = 10_000


def _released_scales() -> Mapping[str, ModelScale]:
    """Return the scale of each released network: those named best have SiLU, as has 190, of which there is one."""
    scales: dict[str, ModelScale] = {}
    for name in ("spinenet-49s", "spinenet-49", "spinenet-96", "spinenet-143"):
        scales[name] = published_scale(name)
        scales[f"{name}-best"] = replace(published_scale(name), activation="silu")
    scales["spinenet-190"] = replace(published_scale("spinenet-190"), activation="silu")
    return scales


RELEASED_SCALES = _released_scales()
"""The released detectors that can be imported, each with its scale; all are of one spec, SpineNet-49's."""


def load_released(
    path: Path | str,
    network: str,
    *,
    norm_epsilon: float = TPU_NORM_EPSILON,
    device: str = "auto",
    precision: Precision = "auto",
) -> Detector:
    """Return the detector of a released checkpoint, in inference mode.

    Args:
        path: of the checkpoint: its prefix, as `model.ckpt-187600`, one of its files, or the folder that holds it.
        network: a name in `RELEASED_SCALES`, as `spinenet-49s` or `spinenet-49s-best`.
        norm_epsilon: of its normalisation.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: an unknown network, no such device, or a checkpoint that is damaged or of another network.
        ValueError: the epsilon is not above 0 and at most 1.
    """
    pick_device(device)
    built, info = read_released(Path(path), network, norm_epsilon=norm_epsilon)
    return ready_detector(built, info, device=device, precision=precision)


def import_released(path: Path, network: str, out: Path, *, norm_epsilon: float = TPU_NORM_EPSILON) -> DetectorInfo:
    """Write the detector of a released checkpoint as a training would, and return what its file says of it.

    Raises:
        InputError: as `load_released`, or it cannot be written.
    """
    built, info = read_released(path, network, norm_epsilon=norm_epsilon)
    save_detector(out, info, raw=built.state_dict())
    return info


def read_released(
    path: Path, network: str, *, norm_epsilon: float = TPU_NORM_EPSILON
) -> tuple[RetinaNet, DetectorInfo]:
    """Return the network of a released checkpoint with its weights, in the processor's memory, and what it is.

    Raises:
        InputError: as `load_released`.
    """
    if network not in RELEASED_SCALES:
        known = tuple(RELEASED_SCALES)
        raise InputError(
            f"no released weights of {network!r} are known; known are {', '.join(known)}{nearest_hint(network, known)}"
        )

    checkpoint = Checkpoint(checkpoint_prefix(path))
    spec, scale = published_spec("spinenet-49"), RELEASED_SCALES[network]
    categories = _categories(_num_classes(checkpoint))
    info = DetectorInfo(network, spec, scale, categories, "raw", norm_epsilon=norm_epsilon)

    # Without memory at first: fresh weights would be drawn for nothing.
    with torch.device("meta"):
        built = build_detector(spec, scale, len(categories))
    built.to_empty(device="cpu")
    for name, buffer in built.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    fill_slots(retinanet_slots(built, spec), checkpoint, network, is_of_training)
    return built, info


def _num_classes(checkpoint: Checkpoint) -> int:
    """Return the number of classes that a checkpoint has; COCO's where it has none, which is then found missing."""
    if CLASS_BIAS not in checkpoint:
        return _NUM_COCO_CLASSES
    shape = checkpoint.shape(CLASS_BIAS)
    num_values = shape[0] if len(shape) == 1 else 0
    num_classes, rest = divmod(num_values, NUM_ANCHORS_PER_LOCATION)
    if rest or not 1 < num_classes <= _MAX_CLASSES:
        raise InputError(
            f"{checkpoint.prefix}: {CLASS_BIAS} of {shape} is of no 2 to {_MAX_CLASSES:,} classes at "
            f"{NUM_ANCHORS_PER_LOCATION} anchors"
        )
    return num_classes


def _categories(num_classes: int) -> tuple[Category, ...]:
    """Return the category of each class, whose number is its id; 0 is the background, and of 91 classes COCO's."""
    if num_classes == _NUM_COCO_CLASSES:
        return tuple(Category(k, COCO_CATEGORIES.get(k, NO_CATEGORY)) for k in range(num_classes))
    return (Category(0, NO_CATEGORY), *(Category(k, f"class {k}") for k in range(1, num_classes)))
