"""Check that checkpoints which the released code wrote become networks that compute what its own do.

make reference                                        once: installs tensorflow/models beside this project, about 2 GB
python -m benchmarks.released_parity                               RetinaNets of tensorflow/models
python -m benchmarks.released_parity --tpu FOLDER                  and all kinds of networks of tensorflow/tpu
python -m benchmarks.released_parity classifier --tpu FOLDER       one kind alone: retinanet, classifier or mask_rcnn

FOLDER is a checkout of tensorflow/tpu, which is on no package index. The networks are built by that code with random
weights, written by it as checkpoints, and imported. Compared are features and the outputs of heads for random images
(the largest difference, relative to their standard deviation); for tensorflow/models the boxes that both find; for
tensorflow/tpu the names and shapes of all variables of every size. Without a checkout TensorFlow still writes variables
by that code's names, which must come back to the last bit.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from benchmarks.agreement import agree, difference
from benchmarks.reference import Reference
from benchmarks.tpu_parity import TpuHead, compare_tpu_networks, is_tpu_checkout
from proxy_tasks.detection.detections import Detections, detect
from proxy_tasks.detection.detector import Detector
from proxy_tasks.detection.released import load_released
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.released.tpu_names import retinanet_slots
from proxy_tasks.networks.released.zoo import RELEASED
from proxy_tasks.networks.retinanet import NUM_ANCHORS_PER_LOCATION, RawDetections

MIN_SHARE_OF_BOXES = 0.999
SIZE_PX = 256
BATCH_SIZE = 2
NUM_CLASSES = 91
CASES = (
    ("spinenet-49", False),
    ("spinenet-49", True),
    ("spinenet-96", False),
    ("spinenet-143", False),
    ("spinenet-mobile-49", False),
)
"""Networks of which tensorflow/models has released weights; the second as a training leaves them, with averages."""
_SAME_PX = 0.01
_CLASS_FACTOR, _CLASS_BIAS = 20.0, -17.0
"""With them some thousand pairs of anchor and class are candidates, fewer than either side takes at most."""


def compare_garden(reference: Reference, network: str, images: NDArray[np.float32], *, averages: bool) -> list[str]:
    """Import a detector that tensorflow/models wrote and return in words where it differs too much."""
    scale = replace(RELEASED[network].scale, activation="silu", image_size_px=SIZE_PX)
    prefix, weights, inputs, outputs = (str(reference.folder / name) for name in ("ckpt", "w.npz", "in.npy", "out.npz"))
    np.save(inputs, images)
    reference.build_detector("detector", RELEASED[network].spec, scale, NUM_CLASSES)
    reference.ask("draw", name="detector", seed=1, path=weights)
    reference.ask("sharpen", name="detector", factor=_CLASS_FACTOR, class_bias=_CLASS_BIAS)
    reference.ask("write_checkpoint", name="detector", prefix=prefix, averages=averages)
    reference.ask("predict", name="detector", images=inputs, path=outputs)
    reference.ask("forget", name="detector")

    detector = load_released(f"{prefix}-1", network, device="cpu", precision="float32")
    detector = Detector(detector.network, replace(detector.info, scale=scale)).eval()
    with torch.no_grad():
        ours = detector(torch.from_numpy(images).permute(0, 3, 1, 2))
    theirs = np.load(outputs)
    logits, codes = (
        difference(mine, their_values(theirs, kind)) for mine, kind in zip(ours, ("class", "box"), strict=True)
    )
    share, count = share_of_boxes(found_by_ours(ours, detector), theirs)
    print(f"{network:<18} {'averages' if averages else 'weights':<9}", end="")
    print(f" logits {logits:.0e} codes {codes:.0e} boxes {share:.2%} of {count}")
    is_close = agree(logits, codes) and share >= MIN_SHARE_OF_BOXES
    return [] if is_close else [network]


def their_values(found: Mapping[str, NDArray[np.float32]], kind: str) -> Tensor:
    """Return (B, A, values) what the reference says of each anchor, its aspect ratios in our order."""
    parts = []
    for name in sorted(name for name in found if name.startswith(f"{kind}/")):
        values = torch.from_numpy(found[name])  # (B, H, W, anchors of a location * values)
        values = values.reshape(*values.shape[:3], NUM_ANCHORS_PER_LOCATION // 3, 3, -1)
        values = values[..., [1, 2, 0], :]  # theirs are 1/2, 1, 2
        parts.append(values.flatten(1, 4))  # (B, A of the level, values)
    return torch.cat(parts, dim=1)


def found_by_ours(raw: RawDetections, detector: Detector) -> Detections:
    """Return what our detector finds; class 0 is the background."""
    logits = raw.class_logits.clone()
    logits[..., 0] = -torch.inf
    sizes_px = torch.full((len(logits), 2), float(SIZE_PX))
    found = RawDetections(logits, raw.box_codes)
    return detect(found, detector.anchors_xyxy, sizes_px, candidates_per_class=detector.info.candidates_per_class)


def share_of_boxes(ours: Detections, theirs: Mapping[str, NDArray[np.float32]]) -> tuple[float, int]:
    """Return the share of the reference's boxes that are ours too, by class, overlap and score, and their number."""
    num_found = num_all = 0
    for image, count in enumerate(theirs["num_detections"].tolist()):
        boxes = torch.from_numpy(theirs["detection_boxes"][image, :count])[:, [1, 0, 3, 2]]  # (N, 4)
        labels = torch.from_numpy(theirs["detection_classes"][image, :count])  # (N,)
        scores = torch.from_numpy(theirs["detection_scores"][image, :count])  # (N,)
        mine = ours.image == image

        # Boxes that were clipped to nothing overlap nothing, not even themselves.
        corners_px = (boxes[:, None] - ours.boxes_xyxy[mine]).abs().amax(dim=-1)  # (N, M)
        same = (box_iou(boxes, ours.boxes_xyxy[mine]) > 0.99) | (corners_px < _SAME_PX)
        same &= labels[:, None] == ours.labels[mine]
        same &= (scores[:, None] - ours.scores[mine]).abs() < 1e-3
        num_found += int(same.any(dim=1).sum())
        num_all += count
    return num_found / max(num_all, 1), num_all


def compare_tpu_names(reference: Reference, network: str) -> list[str]:
    """Have TensorFlow write random variables by tensorflow/tpu's names and return in words what comes back changed."""
    spec = RELEASED[network].spec
    with torch.device("meta"):
        built = build_detector(spec, RELEASED[network].scale, NUM_CLASSES)
    rng = np.random.default_rng(2)
    slots = retinanet_slots(built, spec)
    arrays = {name: rng.random(slot.shape, dtype=np.float32) for name, slot in slots.items()}
    np.savez(reference.folder / "arrays.npz", **arrays)  # type: ignore[arg-type]  # a name could be an option's
    prefix = reference.folder / "tpu" / "model.ckpt"
    prefix.parent.mkdir(exist_ok=True)
    reference.ask("write_variables", arrays=str(reference.folder / "arrays.npz"), prefix=str(prefix))

    detector = load_released(prefix.parent, network, device="cpu", precision="float32")
    changed = []
    for name, slot in retinanet_slots(detector.network, spec).items():
        values = arrays[name].transpose(slot.axes) if slot.axes else arrays[name]
        if not np.array_equal(slot.tensor.detach().numpy(), values):
            changed.append(name)
    print(f"{network:<18} {len(arrays)} variables by tensorflow/tpu's names, {len(changed)} changed")
    return changed


def compare_garden_detectors() -> list[str]:
    """Compare the RetinaNets of tensorflow/models and return in words where they differ too much."""
    # Keras takes images as float32.
    images = np.random.default_rng(0).normal(size=(BATCH_SIZE, SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    wrong: list[str] = []
    with Reference() as reference:
        print(f"TensorFlow {reference.version}, PyTorch {torch.__version__}; {BATCH_SIZE} images of {SIZE_PX} px")
        for network, averages in CASES:
            wrong += compare_garden(reference, network, images, averages=averages)
        for network in ("spinenet-49s", "spinenet-mobile-49"):
            wrong += compare_tpu_names(reference, network)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.released_parity")
    parser.add_argument(
        "heads", nargs="*", metavar="KIND", help=f"{', '.join(get_args(TpuHead))}; all if none is named"
    )
    parser.add_argument(
        "--tpu", type=lambda text: Path(text).expanduser(), metavar="FOLDER", help="a checkout of tensorflow/tpu"
    )
    options = parser.parse_args()
    unknown = set(options.heads).difference(get_args(TpuHead))
    if unknown:
        parser.error(f"no kind of networks is named {min(unknown)!r}; there are {', '.join(get_args(TpuHead))}")
    if options.tpu is None and set(options.heads) - {"retinanet"}:
        parser.error("classifiers and Mask R-CNNs are those of tensorflow/tpu: name a checkout of it as --tpu FOLDER")
    if options.tpu is not None and not is_tpu_checkout(options.tpu):
        parser.error(f"{options.tpu} is no checkout of tensorflow/tpu: it has no models/official/detection")

    wrong: list[str] = []
    if "retinanet" in (options.heads or ("retinanet",)):
        wrong += compare_garden_detectors()
    if options.tpu is None:
        print("not compared, for want of a checkout of tensorflow/tpu (--tpu FOLDER): its layers and heads")
    else:
        wrong += compare_tpu_networks(options.tpu, options.heads or get_args(TpuHead))
    if wrong:
        sys.exit(f"error: {wrong[0]} does not agree with the reference")


if __name__ == "__main__":
    main()
