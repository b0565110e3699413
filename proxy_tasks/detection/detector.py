"""A trained detector: a module that finds objects in pictures of any size."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.coco.batches import normalise
from proxy_tasks.coco.decode import UnusableImageError, fit, fitted_size, rgb_of
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.detections import MIN_SCORE
from proxy_tasks.detection.detector_file import DetectorHead, DetectorInfo, read_detector
from proxy_tasks.detection.inference import detect_batch
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.layers import set_norm_epsilon
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.retinanet import RawDetections, RetinaNet
from proxy_tasks.networks.torch_file import first_difference
from proxy_tasks.networks.trained_file import WhichWeights
from proxy_tasks.runtime import keep_freed_memory, pick_device, uses_bf16

BATCH_SIZE = 8
"""Images that are looked at together unless another number is asked for; the largest networks fit a GPU with them."""

Picture: TypeAlias = Image.Image | NDArray[np.uint8] | Tensor
"""An image: of Pillow's in any mode, an (H, W, 3) array of uint8 RGB, or a (3, H, W) tensor of uint8 RGB."""


class Found(NamedTuple):
    """The N objects found in one image, best first, in the processor's memory.

    Attributes:
        boxes_xyxy: (N, 4) corners in pixels of the image as it was given.
        labels: (N,) class index, for `Detector.class_names` and `DetectorInfo.categories`.
        scores: (N,) in [0, 1].
    """

    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor


class Detector(nn.Module):
    """A trained network with all that is needed to find objects in pictures.

    A worked example:

        detector = load_detector("runs/full/detector.pt")
        found = detector.detect(Image.open("photo.jpg"))
        for box, label, score in zip(*found):
            print(detector.class_names[label], f"{score:.2f}", box.tolist())

    Attributes:
        info: all that its file says.
        network: the network, which maps (B, 3, S, S) normalised images to `RawDetections`.
        bf16: whether convolutions are computed in bfloat16.

    Args:
        network: a trained network, as `info` describes it.
        info: what it is.
        bf16: compute convolutions in bfloat16.
    """

    anchors_xyxy: Tensor

    def __init__(self, network: RetinaNet, info: DetectorInfo, *, bf16: bool = False) -> None:
        super().__init__()
        self.network, self.info, self.bf16 = network, info, bf16
        anchors = make_anchors(
            network.output_levels, info.scale.image_size_px, info.scale.anchor_scale, torch.device("cpu")
        )
        self.register_buffer("anchors_xyxy", anchors, persistent=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, by its label."""
        return self.info.class_names

    def forward(self, images: Tensor) -> RawDetections:
        """Return the network's raw answer to (B, 3, S, S) normalised images."""
        raw: RawDetections = self.network(images)
        return raw

    @overload
    def detect(self, images: Picture, *, batch_size: int = ..., min_score: float = ...) -> Found: ...
    @overload
    def detect(self, images: Sequence[Picture], *, batch_size: int = ..., min_score: float = ...) -> list[Found]: ...

    def detect(
        self, images: Picture | Sequence[Picture], *, batch_size: int = BATCH_SIZE, min_score: float = MIN_SCORE
    ) -> Found | list[Found]:
        """Find objects in one image, or in each of several of any sizes.

        Each is scaled so that its long side fills the size that the network was trained on, as images of a search are.
        Pillow's images are taken as they are, not turned as EXIF says. The network is left in inference mode.

        Args:
            images: one image or several; see `Picture`. None at all gives an empty list.
            batch_size: the number that is looked at together.
            min_score: objects are found whose score is above it.

        Returns:
            What was found in the image; of several images a list, in their order.

        Raises:
            ValueError: an image that is none, or a number out of range; the message says which.
        """
        check_detecting(batch_size, min_score)
        if isinstance(images, Image.Image | np.ndarray | Tensor):
            return self._detect_several([as_image(images, "the image")], min_score)[0]

        found: list[Found] = []
        for start in range(0, len(images), batch_size):
            several = enumerate(images[start : start + batch_size], start)
            found += self._detect_several([as_image(one, f"image {number}") for number, one in several], min_score)
        return found

    def _detect_several(self, images: Sequence[Image.Image], min_score: float) -> list[Found]:
        """Find objects in images that fit one batch."""
        self.network.eval()
        fitted = fitted_images(images, self.info, self.anchors_xyxy.device)
        found = detect_batch(
            self.network,
            fitted.images,
            fitted.sizes_px,
            self.anchors_xyxy,
            unused_classes=self.info.unused_classes,
            bf16=self.bf16,
            min_score=min_score,
            counts_last_pixel=self.info.counts_last_pixel,
            candidates_per_class=self.info.candidates_per_class,
        ).on_cpu()

        boxes = (found.boxes_xyxy / fitted.scales_xy.repeat(1, 2)[found.image]).float()  # (N, 4)

        counts = torch.bincount(found.image, minlength=len(images)).tolist()
        parts = (torch.split(values, counts) for values in (boxes, found.labels, found.scores))
        return [Found(*part) for part in zip(*parts, strict=True)]


class FittedImages(NamedTuple):
    """B images as a detector takes them.

    Attributes:
        images: (B, 3, S, S) normalised.
        sizes_px: (B, 2) height and width of each without its padding.
        scales_xy: (B, 2) float64 factors from pixels of the image as it was given, in the processor's memory.
    """

    images: Tensor
    sizes_px: Tensor
    scales_xy: Tensor


def fitted_images(images: Sequence[Image.Image], info: DetectorInfo, device: torch.device) -> FittedImages:
    """Return images fitted into squares, as images of a search's cache are prepared."""
    size = info.scale.image_size_px
    original_px = np.array([(image.height, image.width) for image in images])  # (B, 2)
    fitted_px = np.array([fitted_size(height, width, size) for height, width in original_px.tolist()])  # (B, 2)
    pixels = torch.from_numpy(np.stack([fit(image, size) for image in images])).to(device)  # (B, S, S, 3)
    sizes_px = torch.from_numpy(fitted_px.astype(np.float32)).to(device)  # (B, 2)

    # Sizes are rounded, so each axis has a scale of its own.
    scales_xy = torch.from_numpy((fitted_px / original_px)[:, ::-1].copy())  # (B, 2)
    return FittedImages(normalise(pixels, sizes_px, info.normalisation), sizes_px, scales_xy)


def check_detecting(batch_size: int, min_score: float) -> None:
    """Check the options of a detection.

    Raises:
        ValueError: one is out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size}")
    if not 0 <= min_score < 1:
        raise ValueError(f"min_score must be from 0 to below 1, got {min_score}")


def load_detector(
    path: Path | str,
    *,
    device: str = "auto",
    weights: WhichWeights | None = None,
    precision: Precision = "auto",
) -> Detector:
    """Return the trained detector of a file, in inference mode.

    Args:
        path: the file, or the folder of a training that holds it as `detector.pt`.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        weights: `averaged` or `raw`; None for those that the file's metrics are of.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: no such file or device; a file that is damaged, newer, of a detector with masks, lacks these weights
            or holds those of another network.
    """
    network, info = filled_network(detector_path(Path(path)), "retinanet", device, weights)
    if not isinstance(network, RetinaNet):
        raise TypeError(f"expected a RetinaNet, got {type(network).__name__}")
    return ready_detector(network, info, device=device, precision=precision)


def filled_network(
    file: Path, head: DetectorHead, device: str, weights: WhichWeights | None
) -> tuple[nn.Module, DetectorInfo]:
    """Return the network of a detector's file with its weights, and what the file says of them.

    Args:
        file: the file.
        head: what the detector has to find.
        device: the device that it is meant for, which is looked for before any long work.
        weights: see `load_detector`.

    Raises:
        InputError: as `load_detector`, or a detector with another head.
    """
    pick_device(device)
    info, states = read_detector(file)
    if info.head != head:
        what = {"retinanet": "boxes alone", "mask_rcnn": "boxes with masks"}
        raise InputError(f"{file} holds a detector of {what[info.head]}, needed is one of {what[head]}")
    which = weights or info.weights
    if which not in states:
        raise InputError(f"{file} holds no {which} weights, there are {' and '.join(states)}")

    # Without memory at first: a scale may be of any size, and fresh weights would be drawn for nothing.
    num_classes = len(info.categories)
    try:
        with torch.device("meta"):
            network = build_network(
                info.architecture, info.scale, head=head, num_classes=num_classes, reference=info.reference
            )
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    difference = first_difference(states[which], network)
    if difference is not None:
        raise InputError(f"{file} holds weights of another network than it says: {difference}")

    network.load_state_dict(states[which], assign=True)
    return network, info


def ready_detector(network: RetinaNet, info: DetectorInfo, *, device: str, precision: Precision) -> Detector:
    """Return a detector in inference mode, of a network that holds its weights; see `load_detector`.

    Raises:
        InputError: no such device.
    """
    target = pick_device(device)
    set_norm_epsilon(network, info.norm_epsilon)
    keep_freed_memory()
    detector = Detector(network, info, bf16=uses_bf16(precision, target.type))
    return detector.to(target).to(memory_format=torch.channels_last).eval()


def detector_path(path: Path) -> Path:
    """Return the file of a trained detector, where a person may name the training's folder in its place."""
    return path / "detector.pt" if path.is_dir() else path


def as_image(picture: Picture, name: str) -> Image.Image:
    """Return an image as RGB of eight bits.

    Raises:
        ValueError: it is none, or of another layout; the message begins with `name`.
    """
    if isinstance(picture, Image.Image):
        try:
            return rgb_of(picture)
        except UnusableImageError as error:
            raise ValueError(f"{name}: {error}") from None

    array, layout = picture, "(H, W, 3) as an array"
    if isinstance(picture, Tensor):
        array, layout = picture.cpu().movedim(0, -1).numpy() if picture.dim() == 3 else picture, "(3, H, W) as a tensor"
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3:
        came = f"{picture.dtype} of {tuple(picture.shape)}" if hasattr(picture, "shape") else type(picture).__name__
        raise ValueError(f"{name} must be of Pillow's, or uint8 of {layout}, got {came}")
    if not array.size:
        raise ValueError(f"{name} has no pixels, its shape is {tuple(picture.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))
