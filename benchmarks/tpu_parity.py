"""Imported networks against tensorflow/tpu's own: the answers of each kind, and the variables of every size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList

from benchmarks.agreement import agree, difference
from benchmarks.reference import Reference
from proxy_tasks.classification import released as classifiers
from proxy_tasks.detection import released as detectors
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.released.mask_names import mask_rcnn_slots
from proxy_tasks.networks.released.tpu_names import classifier_slots, retinanet_slots
from proxy_tasks.networks.released.variables import Slot
from proxy_tasks.networks.released.zoo import RELEASED
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.segmentation import released as mask_detectors

TpuHead = Literal["retinanet", "classifier", "mask_rcnn"]

BATCH_SIZE = 2
NUM_REGIONS = 46
"""Regions of each image: with both images every class has one."""
_CODE = Path("models", "official", "detection")
_CONFIGURATIONS = Path("configs", "spinenet")
_CODE_ORDER = [1, 0, 3, 2]
"""Places of torchvision's x, y, width and height among the reference's, and the other way round."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network of both sides.

    Attributes:
        network: our name of it.
        configuration: name of the reference's file.
        answers: whether it answers images too, beside being compared by its variables.
    """

    network: str
    configuration: str
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """Networks with one head.

    Attributes:
        name: the reference's.
        num_classes: the background is one.
        size_px: of the images; regions of a Mask R-CNN come from three levels at 512.
        cases: the networks, each size once.
    """

    name: str
    num_classes: int
    size_px: int
    cases: tuple[Case, ...]


KINDS: Mapping[TpuHead, Kind] = {
    "retinanet": Kind(
        "retinanet",
        91,
        256,
        (
            Case("spinenet-49", "spinenet49_retinanet.yaml", answers=True),
            Case("spinenet-96", "spinenet96_retinanet.yaml"),
            Case("spinenet-143", "spinenet143_retinanet.yaml"),
            Case("spinenet-190", "spinenet190_retinanet.yaml"),
            Case("spinenet-mobile-49", "spinenet-mbconv49_retinanet.yaml", answers=True),
        ),
    ),
    "classifier": Kind(
        "classification",
        1001,
        224,
        (
            Case("classifier-spinenet-49", "spinenet49_classification.yaml", answers=True),
            Case("classifier-spinenet-49-best", "spinenet49_classification.yaml", answers=True),
            Case("classifier-spinenet-96", "spinenet96_classification.yaml"),
            Case("classifier-spinenet-143", "spinenet143_classification.yaml"),
            Case("classifier-spinenet-190", "spinenet190_classification.yaml"),
        ),
    ),
    "mask_rcnn": Kind(
        "mask_rcnn",
        91,
        512,
        (
            Case("mask-rcnn-spinenet-49", "spinenet49_mrcnn.yaml", answers=True),
            Case("mask-rcnn-spinenet-96", "spinenet96_mrcnn.yaml"),
            Case("mask-rcnn-spinenet-143", "spinenet143_mrcnn.yaml"),
            Case("mask-rcnn-spinenet-190", "spinenet190_mrcnn.yaml"),
        ),
    ),
}
"""All sizes but SpineNet-49S, whose endpoints are 256 wide in its released checkpoint and 128 in the code of today."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of images, with a class each.

    Attributes:
        boxes_yxyx: (B, N, 4) corners in pixels, as the reference has them.
        classes: (B, N).
    """

    boxes_yxyx: Tensor
    classes: Tensor


def is_tpu_checkout(folder: Path) -> bool:
    """Return whether a folder holds tensorflow/tpu's code of detectors."""
    return (folder / _CODE / "modeling" / "architecture" / "spinenet.py").is_file()


def compare_tpu_networks(folder: Path, heads: Sequence[TpuHead]) -> list[str]:
    """Compare the networks with some heads, print what was found, and return the names of those that differ too much.

    Args:
        folder: a checkout of tensorflow/tpu.
        heads: the heads.
    """
    # Its modules name each other from three folders.
    code = folder.absolute() / _CODE
    models = code.parent.parent
    folders = [code, models, models / "official" / "efficientnet"]

    wrong: list[str] = []
    with Reference("tpu_worker", [str(code / _CONFIGURATIONS)], folders) as reference:
        print(f"tensorflow/tpu on TensorFlow {reference.version}, PyTorch {torch.__version__}; {BATCH_SIZE} images")
        for head in heads:
            wrong += compare_kind(reference, head)
    return wrong


def compare_kind(reference: Reference, head: TpuHead) -> list[str]:
    """Compare all networks with a head, print what was found, and return the names of those that differ too much."""
    kind = KINDS[head]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH_SIZE, kind.size_px, kind.size_px, 3)).astype(np.float32)
    regions = draw_regions(rng, kind.size_px, kind.num_classes)

    wrong = []
    for case in kind.cases:
        # What has other variables cannot be imported.
        if not same_variables(reference, head, case) or (
            case.answers and not same_answers(reference, head, case, images, regions)
        ):
            wrong.append(case.network)
    return wrong


def draw_regions(rng: np.random.Generator, size_px: int, num_classes: int) -> Regions:
    """Draw regions from an eighth of an image to all of it, of classes that go round."""
    sides = size_px * 2 ** -rng.uniform(0, 3, (BATCH_SIZE, NUM_REGIONS, 1))
    ratios = 2 ** rng.uniform(-0.25, 0.25, (BATCH_SIZE, NUM_REGIONS, 1))
    sizes = np.minimum(np.concatenate([sides * ratios, sides / ratios], axis=-1), size_px)
    corners = rng.uniform(size=sizes.shape) * (size_px - sizes)
    boxes = np.concatenate([corners, corners + sizes], axis=-1).astype(np.float32)

    classes = np.arange(BATCH_SIZE * NUM_REGIONS).reshape(BATCH_SIZE, NUM_REGIONS) % num_classes
    return Regions(torch.from_numpy(boxes), torch.from_numpy(classes))


def same_variables(reference: Reference, head: TpuHead, case: Case) -> bool:
    """Return whether the names and shapes of all variables are those that we look for, and print how many there are."""
    kind = KINDS[head]
    found = reference.ask("variables", size_px=kind.size_px, **_subject(kind, case))
    theirs = {(name, tuple(shape)) for name, shape in found.items()}
    ours = {(name, slot.shape) for name, slot in slots_of(head, case.network).items()}

    odd = sorted(name for name, _ in theirs ^ ours)
    words = f"names or shapes differ, as that of {odd[0]}" if odd else "names and shapes as ours"
    print(f"{case.network:<28} {len(theirs)} variables, {words}", flush=True)
    return not odd


def same_answers(
    reference: Reference, head: TpuHead, case: Case, images: NDArray[np.float32], regions: Regions
) -> bool:
    """Return whether the imported network answers as the reference does, and print the largest differences."""
    inputs, boxes, outputs = (str(reference.folder / name) for name in ("images.npy", "regions.npz", "out.npz"))
    prefix = reference.folder / case.network / "model.ckpt"
    prefix.parent.mkdir()
    np.save(inputs, images)
    np.savez(boxes, boxes=regions.boxes_yxyx.numpy(), classes=regions.classes.numpy())
    files = {"images": inputs, "regions": boxes, "prefix": str(prefix), "path": outputs}
    reference.ask("write", seed=1, **files, **_subject(KINDS[head], case))

    batch = torch.from_numpy(images).permute(0, 3, 1, 2)  # (B, 3, H, W)
    with np.load(outputs) as arrays, torch.no_grad():
        found = {name: torch.from_numpy(arrays[name]) for name in arrays}
        match head:
            case "retinanet":
                differences = retinanet_differences(prefix, case.network, batch, found)
            case "classifier":
                differences = classifier_differences(prefix, case.network, batch, found)
            case "mask_rcnn":
                differences = mask_rcnn_differences(prefix, case.network, batch, regions, found)
    print(" " * 28, ", ".join(f"{name} {value:.0e}" for name, value in differences.items()), flush=True)
    return agree(*differences.values())


def retinanet_differences(prefix: Path, name: str, images: Tensor, theirs: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far features, class logits and box codes of a RetinaNet are off."""
    network = detectors.load_released(prefix, name, device="cpu", precision="float32").network
    features = network.backbone(images)
    ours = network(images)
    num_classes = ours.class_logits.shape[-1]
    return {
        "features": features_difference(features, network.backbone.output_levels, theirs),
        "class logits": difference(ours.class_logits, _joined(theirs, "class", num_classes)),
        "box codes": difference(ours.box_codes, _joined(theirs, "box", 4)),
    }


def classifier_differences(prefix: Path, name: str, images: Tensor, theirs: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far features and logits of a classifier are off."""
    network = classifiers.load_released(prefix, name, device="cpu", precision="float32").network
    features = network.backbone(images)
    return {
        "features": features_difference(features, network.backbone.output_levels, theirs),
        "logits": difference(network(images), theirs["logits"]),
    }


def mask_rcnn_differences(
    prefix: Path, name: str, images: Tensor, regions: Regions, theirs: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return how far a Mask R-CNN is off: in features, in what it says of each anchor, and of the same regions."""
    network = mask_detectors.load_released(prefix, name, device="cpu", precision="float32").network
    named = network.backbone(images)
    features = list(named.values())
    sizes_px = [tuple(images.shape[-2:])] * len(images)
    objectness, proposals = network.rpn.head(features)
    anchors = network.rpn.anchor_generator(ImageList(images, sizes_px), features)[0]

    heads = network.roi_heads
    boxes = list(regions.boxes_yxyx[..., _CODE_ORDER])  # (N, 4) each
    class_logits, box_codes = heads.box_predictor(heads.box_head(heads.box_roi_pool(named, boxes, sizes_px)))
    box_codes = box_codes.reshape(len(box_codes), -1, 4)[..., _CODE_ORDER]  # (B * N, K, 4)
    mask_logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(named, boxes, sizes_px)))
    classes = regions.classes.flatten()
    mask_logits = mask_logits[torch.arange(len(classes)), classes]  # (B * N, 28, 28)

    return {
        "features": features_difference(features, network.backbone.levels, theirs),
        "anchors": difference(anchors[:, _CODE_ORDER], theirs["anchors"]),
        "objectness": difference(_anchors_first(objectness, 1), _joined(theirs, "objectness", 1)),
        "proposals": difference(_anchors_first(proposals, 4)[..., _CODE_ORDER], _joined(theirs, "proposals", 4)),
        "class logits": difference(class_logits, theirs["class_logits"].flatten(0, 1)),
        "box codes": difference(box_codes, theirs["box_codes"].reshape(box_codes.shape)),
        "mask logits": difference(mask_logits, theirs["mask_logits"].flatten(0, 1)),
    }


def features_difference(ours: Sequence[Tensor], levels: Sequence[int], theirs: Mapping[str, Tensor]) -> float:
    """Return the largest difference of the features of any level, each relative to its own standard deviation."""
    expected = [theirs[f"features/{level}"].permute(0, 3, 1, 2) for level in levels]
    found = [difference(mine, one) for mine, one in zip(ours, expected, strict=True)]
    # `max` would pass over what is not a number.
    return float(np.max(found))


def slots_of(head: TpuHead, network: str) -> Mapping[str, Slot]:
    """Return where each variable would go in a network of ours, which takes no memory."""
    spec, scale = RELEASED[network].spec, RELEASED[network].scale
    num_classes = KINDS[head].num_classes
    with torch.device("meta"):
        # Ours counts the classes of a Mask R-CNN without the background.
        built: Any = build_network(spec, scale, head=head, num_classes=num_classes - (head == "mask_rcnn"))
    match built:
        case RetinaNet():
            return retinanet_slots(built, spec)
        case Classifier():
            return classifier_slots(built, spec)
        case MaskRCNN():
            return mask_rcnn_slots(built, spec)
        case _:
            raise TypeError(f"expected a network with a head, got {type(built).__name__}")


def _subject(kind: Kind, case: Case) -> dict[str, str]:
    """Return what tells the reference which network is meant."""
    activation = {"relu": "relu", "silu": "swish"}[RELEASED[case.network].scale.activation]
    return {"kind": kind.name, "config": case.configuration, "activation": activation}


def _joined(theirs: Mapping[str, Tensor], name: str, num_values: int) -> Tensor:
    """Return (B, A, values) what the reference says of each anchor, finest level first."""
    found = [theirs[key] for key in sorted(theirs) if key.startswith(f"{name}/")]  # (B, H, W, anchors * values)
    return torch.cat([one.reshape(len(one), -1, num_values) for one in found], dim=1)


def _anchors_first(ours: Sequence[Tensor], num_values: int) -> Tensor:
    """Return (B, A, values) what a head of torchvision's says, by level (B, anchors * values, H, W)."""
    return torch.cat([one.permute(0, 2, 3, 1).reshape(len(one), -1, num_values) for one in ours], dim=1)
