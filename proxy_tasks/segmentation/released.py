"""Released Mask R-CNNs: weights out of tensorflow/tpu's checkpoints, as detectors of ours and as their files."""

from collections.abc import Sequence
from pathlib import Path

from torchvision.models.detection import MaskRCNN

from foundation import InputError
from proxy_tasks.detection.detector_file import DetectorInfo, save_detector
from proxy_tasks.detection.released import NUM_COCO_CLASSES, released_categories
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.layers import NORM_EPSILON
from proxy_tasks.networks.mask_rcnn import mask_heads, mask_rcnn
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.class_names import num_classes_of
from proxy_tasks.networks.released.filling import fill_slots, unfilled
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.mask_names import BOX_CLASS_BIAS, mask_rcnn_slots
from proxy_tasks.networks.released.prefix import checkpoint_prefix
from proxy_tasks.networks.released.tpu_names import is_of_training
from proxy_tasks.networks.released.zoo import released_network
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.runtime import pick_device
from proxy_tasks.segmentation.mask_detector import MaskDetector, ready_mask_detector

_REGION_SAMPLES = 1
"""Those of tensorflow/tpu, whose pooling reads each cell of a region at one point."""


def load_released(
    path: Path | str,
    network: str,
    *,
    norm_epsilon: float | None = None,
    classes: Sequence[str] = (),
    device: str = "auto",
    precision: Precision = "auto",
) -> MaskDetector:
    """Return the detector with masks of a released checkpoint, in inference mode.

    It finds as the reference does: regions are pooled from one sample a cell, and box codes count the last pixel.

    Args:
        path: of the checkpoint: its prefix, one of its files, or the folder that holds it.
        network: the name of a Mask R-CNN in `RELEASED`, as `mask-rcnn-spinenet-49`.
        norm_epsilon: of its normalisation; None for that of its configuration, 1e-3.
        classes: names of its classes but the background; see `detection.released.load_released`.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: number format of the convolutions.

    Raises:
        InputError: an unknown network, no such device, or a checkpoint that is damaged or of another network.
        ValueError: the epsilon is not above 0 and at most 1.

    Source: tensorflow/tpu maskrcnn_model.py, spatial_transform_ops.py and box_utils.py.
    Differs: images are padded to a multiple of 128 px, not to a square; and boxes are clipped to the edge of the image,
        which the reference does a pixel before.
    """
    pick_device(device)
    built, info = read_released(Path(path), network, norm_epsilon=norm_epsilon, classes=classes)
    return ready_mask_detector(built, info, device=device, precision=precision)


def import_released(
    path: Path, network: str, out: Path, *, norm_epsilon: float | None = None, classes: Sequence[str] = ()
) -> DetectorInfo:
    """Write the detector of a released checkpoint as a training would, and return what its file says of it.

    Raises:
        InputError: as `load_released`, or it cannot be written.
    """
    built, info = read_released(path, network, norm_epsilon=norm_epsilon, classes=classes)
    save_detector(out, info, raw=built.state_dict())
    return info


def read_released(
    path: Path, network: str, *, norm_epsilon: float | None = None, classes: Sequence[str] = ()
) -> tuple[MaskRCNN, DetectorInfo]:
    """Return the network of a released checkpoint with its weights, in the processor's memory, and what it is.

    Raises:
        InputError: as `load_released`.
    """
    released = released_network(network, "mask_rcnn")
    checkpoint = Checkpoint(checkpoint_prefix(path))
    if checkpoint.has_text(GRAPH):
        raise InputError(
            f"{checkpoint.prefix} is of tensorflow/models, of which no Mask R-CNN was released; needed is one of "
            "tensorflow/tpu"
        )

    spec, scale = released.spec, released.scale
    num_labels = num_classes_of(checkpoint, BOX_CLASS_BIAS, NUM_COCO_CLASSES)
    # The background is a label of torchvision's, and no category.
    _, *categories = released_categories(num_labels, classes, checkpoint.prefix)
    info = DetectorInfo(
        name=network,
        architecture=spec,
        scale=scale,
        categories=tuple(categories),
        weights="raw",
        norm_epsilon=NORM_EPSILON if norm_epsilon is None else norm_epsilon,
        head="mask_rcnn",
        counts_last_pixel=True,
        region_samples=_REGION_SAMPLES,
    )

    built = unfilled(lambda: mask_rcnn(SpineNet(spec, scale), mask_heads(scale), num_labels, scale.image_size_px))
    fill_slots(mask_rcnn_slots(built, spec), checkpoint, network, is_of_training)
    return built, info
