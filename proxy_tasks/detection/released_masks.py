"""Released Mask R-CNNs: weights out of tensorflow/tpu's checkpoints in torchvision's network, for use in Python."""

from pathlib import Path

from torchvision.models.detection import MaskRCNN

from foundation import InputError
from proxy_tasks.networks.last_pixel_coder import LastPixelCoder
from proxy_tasks.networks.mask_rcnn import SPINENET_190_HEADS, mask_heads, mask_rcnn
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.filling import fill_slots, unfilled
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.mask_names import BOX_CLASS_BIAS, mask_rcnn_slots
from proxy_tasks.networks.released.prefix import checkpoint_prefix
from proxy_tasks.networks.released.tpu_names import is_of_training
from proxy_tasks.networks.released.zoo import released_network
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.runtime import pick_device

_NUM_COCO_CLASSES = 91
"""COCO's category ids, and the background's 0."""
_MAX_CLASSES = 10_000


def load_released(path: Path | str, network: str, *, device: str = "auto") -> MaskRCNN:
    """Return the Mask R-CNN of a released checkpoint, in inference mode.

    It takes lists of (3, H, W) images in [0, 1], as torchvision's detectors do. Of 91 classes labels are COCO's
    category ids. It finds as the reference does: regions are pooled from one sample a cell, and box codes count the
    last pixel.

    Args:
        path: of the checkpoint: its prefix, one of its files, or the folder that holds it.
        network: the name of a Mask R-CNN in `RELEASED`, as `mask-rcnn-spinenet-49`.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.

    Raises:
        InputError: an unknown network, no such device, or a checkpoint that is damaged or of another network.

    Source: tensorflow/tpu maskrcnn_model.py, spatial_transform_ops.py and box_utils.py.
    Differs: images are padded to a multiple of 128 px, not to a square; and boxes are clipped to the edge of the image,
        which the reference does a pixel before.
    """
    target = pick_device(device)
    released = released_network(network, "mask_rcnn")
    checkpoint = Checkpoint(checkpoint_prefix(Path(path)))
    if checkpoint.has_text(GRAPH):
        raise InputError(
            f"{checkpoint.prefix} is of tensorflow/models, of which no Mask R-CNN was released; needed is one of "
            "tensorflow/tpu"
        )

    heads = SPINENET_190_HEADS if network.endswith("-190") else mask_heads(released.scale)
    num_classes = _num_classes(checkpoint)
    built = unfilled(
        lambda: mask_rcnn(SpineNet(released.spec, released.scale), heads, num_classes, released.scale.image_size_px)
    )
    fill_slots(mask_rcnn_slots(built, released.spec), checkpoint, network, is_of_training)
    _find_as_reference(built)
    return built.to(target).eval()


def _find_as_reference(network: MaskRCNN) -> None:
    """Have a network pool regions and decode boxes as tensorflow/tpu does."""
    network.rpn.box_coder = LastPixelCoder((1.0, 1.0, 1.0, 1.0), encodes=False)
    network.roi_heads.box_coder = LastPixelCoder((10.0, 10.0, 5.0, 5.0), encodes=True)
    for pool in (network.roi_heads.box_roi_pool, network.roi_heads.mask_roi_pool):
        pool.sampling_ratio = 1


def _num_classes(checkpoint: Checkpoint) -> int:
    """Return the number of classes that a checkpoint has; COCO's where it has none, which is then found missing."""
    if BOX_CLASS_BIAS not in checkpoint:
        return _NUM_COCO_CLASSES
    shape = checkpoint.shape(BOX_CLASS_BIAS)
    if len(shape) != 1 or not 1 < shape[0] <= _MAX_CLASSES:
        raise InputError(f"{checkpoint.prefix}: {BOX_CLASS_BIAS} of {shape} is of no 2 to {_MAX_CLASSES:,} classes")
    return shape[0]
