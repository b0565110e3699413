"""A trained detector with masks: a module that finds objects and their outlines in pictures of any size."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from proxy_tasks.coco.batches import Batch
from proxy_tasks.coco.masks import Masks
from proxy_tasks.detection.detections import MIN_SCORE
from proxy_tasks.detection.detector import (
    BATCH_SIZE,
    Detector,
    Picture,
    as_image,
    check_detecting,
    detector_path,
    filled_network,
    fitted_images,
    load_detector,
)
from proxy_tasks.detection.detector_file import DetectorInfo, read_detector
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.layers import set_norm_epsilon
from proxy_tasks.networks.mask_rcnn import read_regions_as
from proxy_tasks.networks.trained_file import WhichWeights
from proxy_tasks.runtime import keep_freed_memory, pick_device, uses_bf16
from proxy_tasks.segmentation.mask_inference import detect_regions, pasted_masks


class FoundMasks(NamedTuple):
    """The N objects found in one image, best first, in the processor's memory.

    Attributes:
        boxes_xyxy: (N, 4) corners in pixels of the image as it was given.
        labels: (N,) class index, for `MaskDetector.class_names` and `DetectorInfo.categories`.
        scores: (N,) in [0, 1].
        masks: (N) masks of the size of the image as it was given.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor
    masks: Masks


class MaskDetector(nn.Module):
    """A trained Mask R-CNN with all that is needed to find objects in pictures.

    A worked example:

        detector = load_mask_detector("runs/masks/detector.pt")
        (found,) = detector.detect([Image.open("photo.jpg")])
        outline = found.masks.decoded(0)    # (H, W) ones and zeros of the best one

    Attributes:
        info: all that its file says.
        network: torchvision's `MaskRCNN`.
        bf16: whether convolutions are computed in bfloat16.

    Args:
        network: a trained network, as `info` describes it.
        info: what it is.
        bf16: compute convolutions in bfloat16.
    """

    def __init__(self, network: MaskRCNN, info: DetectorInfo, *, bf16: bool = False) -> None:
        super().__init__()
        self.network, self.info, self.bf16 = network, info, bf16

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, by its label."""
        return self.info.class_names

    def detect(
        self, images: Sequence[Picture], *, batch_size: int = BATCH_SIZE, min_score: float = MIN_SCORE
    ) -> list[FoundMasks]:
        """Find objects in each of several images of any sizes; see `Detector.detect`.

        Raises:
            ValueError: an image that is none, or a number out of range; the message says which.
        """
        check_detecting(batch_size, min_score)
        found: list[FoundMasks] = []
        for start in range(0, len(images), batch_size):
            several = enumerate(images[start : start + batch_size], start)
            found += self._detect_several([as_image(one, f"image {number}") for number, one in several], min_score)
        return found

    def _detect_several(self, images: Sequence[Image.Image], min_score: float) -> list[FoundMasks]:
        """Find objects in images that fit one batch."""
        self.network.eval()
        device = next(self.network.parameters()).device
        fitted = fitted_images(images, self.info, device)
        none = torch.zeros(0, dtype=torch.long, device=device)
        batch = Batch(fitted.images, fitted.sizes_px, none.new_zeros((0, 4)), none, none)
        regions = detect_regions(
            self.network, batch, unused_classes=self.info.unused_classes, bf16=self.bf16, min_score=min_score
        )

        found = []
        for image, scale_xy, one in zip(images, fitted.scales_xy, regions, strict=True):
            boxes = one.boxes_xyxy / scale_xy.repeat(2)
            masks = pasted_masks(one.masks, boxes, (image.height, image.width))
            found.append(FoundMasks(boxes.float(), one.labels, one.scores, masks))
        return found


def load_mask_detector(
    path: Path | str,
    *,
    device: str = "auto",
    weights: WhichWeights | None = None,
    precision: Precision = "auto",
) -> MaskDetector:
    """Return the trained detector with masks of a file, in inference mode; see `load_detector`.

    Raises:
        InputError: as there, or a detector of boxes alone.
    """
    network, info = filled_network(detector_path(Path(path)), "mask_rcnn", device, weights)
    return ready_mask_detector(network, info, device=device, precision=precision)


def ready_mask_detector(network: MaskRCNN, info: DetectorInfo, *, device: str, precision: Precision) -> MaskDetector:
    """Return a detector in inference mode, of a Mask R-CNN that holds its weights; see `load_mask_detector`.

    Raises:
        InputError: no such device.
    """
    target = pick_device(device)
    read_regions_as(network, counts_last_pixel=info.counts_last_pixel, region_samples=info.region_samples)
    set_norm_epsilon(network, info.norm_epsilon)
    keep_freed_memory()
    detector = MaskDetector(network, info, bf16=uses_bf16(precision, target.type))
    return detector.to(target).to(memory_format=torch.channels_last).eval()


def load_any_detector(
    path: Path | str, *, device: str, weights: WhichWeights | None, precision: Precision
) -> Detector | MaskDetector:
    """Return the trained detector of a file, whatever it finds.

    Raises:
        InputError: as `load_detector`.
    """
    if read_detector(detector_path(Path(path))).info.head == "mask_rcnn":
        return load_mask_detector(path, device=device, weights=weights, precision=precision)
    return load_detector(path, device=device, weights=weights, precision=precision)
