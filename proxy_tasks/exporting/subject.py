"""The subject of an export: a network with the names of its outputs, and all that its file says of it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from pydantic import JsonValue
from torch import nn

from foundation import InputError, short_path
from proxy_tasks.coco.batches import IMAGENET, Normalisation
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.detector import load_detector
from proxy_tasks.detection.detector_file import info_to_json
from proxy_tasks.exporting.boxes import DetectorWithBoxes
from proxy_tasks.exporting.kept import NO_LABEL, DetectorWithKept
from proxy_tasks.networks.layers import NORM_EPSILON, Reference
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.trained_file import WhichWeights
from search_space import ArchSpec, ModelScale, published_names, published_spec
from search_space.spec_file import spec_to_json

Answer: TypeAlias = Literal["raw", "boxes", "kept"]
"""The answer of a detector: logits and codes, the best boxes, or those of them that suppression leaves."""

_LAST_LEVEL_OF_BASELINE = 7
_SEED = 0
"""Fresh weights are drawn with it, so that the same architecture is the same file."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to export.

    Attributes:
        network: in inference mode, in this processor's memory; maps (B, 3, S, S) images, and with `reads_sizes` their
            (B, 2) sizes, to one tensor or several.
        architecture: the spec, or the baseline's name.
        scale: how big it is.
        image_size_px: S.
        output_names: a name for each output, in order.
        about: what the file says of it, as plain values.
        num_classes: K of a detector; None for a backbone.
        weights: which weights of a detector's file it has; None for fresh ones.
        reference: released code whose paddings it has.
        norm_epsilon: of its normalisation.
        size_step_px: where its files take images of several sizes, what their sides are multiples of, from the second
            on, which S then is; else None.
    """

    network: nn.Module
    architecture: ArchSpec | str
    scale: ModelScale
    image_size_px: int
    output_names: tuple[str, ...]
    about: Mapping[str, JsonValue]
    num_classes: int | None = None
    weights: WhichWeights | None = None
    reference: Reference = "tpu"
    norm_epsilon: float = NORM_EPSILON
    size_step_px: int | None = None

    @property
    def traced_size_px(self) -> tuple[int, int]:
        """Height and width of the images that it is traced with: two numbers where neither is fixed."""
        return self.image_size_px, self.image_size_px + (self.size_step_px or 0)

    @property
    def reads_sizes(self) -> bool:
        """True where the second input of the network is the size of each image without its padding."""
        return isinstance(self.network, DetectorWithKept)

    @property
    def with_boxes(self) -> DetectorWithBoxes | None:
        """The part of the network that makes boxes of its answer; None where none does."""
        network = self.network.detector if isinstance(self.network, DetectorWithKept) else self.network
        return network if isinstance(network, DetectorWithBoxes) else None

    @property
    def bare_network(self) -> nn.Module:
        """The network without that part, whose weights training knows."""
        return self.network if self.with_boxes is None else self.with_boxes.network


def backbone_subject(
    spec: ArchSpec,
    scale: ModelScale,
    image_size_px: int,
    provenance: Mapping[str, JsonValue],
    *,
    dynamic_size: bool = False,
) -> Subject:
    """Return the backbone of a spec with fresh weights; its outputs are features named `p3` to `p7` by their levels.

    Args:
        spec: the topology.
        scale: how big it is.
        image_size_px: side of the images.
        provenance: where it is from.
        dynamic_size: whether its files take images of several sizes, instead.

    Raises:
        InputError: the scale does not fit the spec.
    """
    generator_state = torch.get_rng_state()
    torch.manual_seed(_SEED)
    try:
        network = build_network(spec, scale, head="none").eval()
    except ValueError as error:
        raise InputError(str(error)) from None
    finally:
        torch.set_rng_state(generator_state)

    step = size_step_px(spec) if dynamic_size else None
    size = image_size_px if step is None else 2 * step
    about: dict[str, JsonValue] = {
        **provenance,
        "weights": "fresh: nothing was trained, this is the topology of an architecture",
        **_input(size, step, IMAGENET),
        "architecture": spec_to_json(spec),
        "scale": dataclasses.asdict(scale),
    }
    output_names = tuple(f"p{level}" for level in sorted(spec.output_levels))
    return Subject(network, spec, scale, size, output_names, about, size_step_px=step)


def size_step_px(architecture: ArchSpec | str) -> int:
    """Return what the sides of images are multiples of where each level of a network halves them without a rest."""
    levels = [_LAST_LEVEL_OF_BASELINE]
    if isinstance(architecture, ArchSpec):
        levels = [feature.level for feature in architecture.features]
    return 1 << max(levels)


def detector_subject(
    path: Path,
    image_size_px: int | None,
    which: WhichWeights | None,
    answer: Answer,
    *,
    dynamic_size: bool = False,
) -> Subject:
    """Return a trained detector.

    Its outputs are `class_logits` and `box_codes`, or `boxes_xyxy`, `labels` and `scores`, with `num_boxes` after
    suppression.

    Args:
        path: the file of the detector, or the folder of its training.
        image_size_px: side of the images; None for that of its training.
        which: the weights, None for those that the training scored.
        answer: what it answers with: see `DetectorWithBoxes` and `DetectorWithKept`.
        dynamic_size: whether its files take images of several sizes, instead; only with a raw answer, as anchors are of
            one size.

    Raises:
        InputError: no such file, or one that holds something else; see `load_detector`; or suppression for a detector
            whose classes have candidates of their own.
    """
    detector = load_detector(path, device="cpu", weights=which, precision="float32")
    network = detector.network.to(memory_format=torch.contiguous_format)
    info = detector.info
    if answer == "kept" and info.candidates_per_class:
        raise InputError(
            f"suppression=true: {short_path(path)} gives each class candidates of its own, as imported detectors do; "
            "exported files cannot, take boxes=true"
        )
    architecture = info.architecture
    if isinstance(architecture, str) and architecture in published_names():
        architecture = published_spec(architecture)
    step = size_step_px(architecture) if dynamic_size else None
    size = image_size_px or info.scale.image_size_px
    if step is not None:
        size = 2 * step

    module: nn.Module = network
    output_names: tuple[str, ...] = ("class_logits", "box_codes")
    if answer != "raw":
        anchors = make_anchors(network.output_levels, size, info.scale.anchor_scale, torch.device("cpu"))
        with_boxes = DetectorWithBoxes(
            network,
            anchors,
            size,
            len(info.categories),
            info.unused_classes,
            counts_last_pixel=info.counts_last_pixel,
        )
        module, output_names = with_boxes, DetectorWithBoxes.OUTPUT_NAMES
        if answer == "kept":
            module, output_names = DetectorWithKept(with_boxes), DetectorWithKept.OUTPUT_NAMES

    about: dict[str, JsonValue] = {
        **_input(size, step, info.normalisation),
        **(_SIZES if answer == "kept" else {}),
        "weights": which or info.weights,
        "detector": without_gaps(info_to_json(info)),
    }
    return Subject(
        module.eval(),
        architecture,
        info.scale,
        size,
        output_names,
        about,
        num_classes=len(info.categories),
        weights=which or info.weights,
        reference=info.reference,
        norm_epsilon=info.norm_epsilon,
        size_step_px=step,
    )


_SIZES: dict[str, JsonValue] = {
    "second_input": "sizes_px, float32 (batch, 2): height and width of each image within the square, without zeros",
    "outputs": "boxes_xyxy in pixels of the square, labels, scores, and num_boxes: so many entries of each image are "
    f"boxes, best first; those after them have the label {NO_LABEL}",
}


def without_gaps(value: JsonValue) -> JsonValue:
    """Return a value with null for each figure that is not finite: neither JSON nor source code can say it."""
    if isinstance(value, dict):
        return {name: without_gaps(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_gaps(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _input(size: int, step: int | None, by: Normalisation) -> dict[str, JsonValue]:
    """Return in words and numbers what the network reads."""
    shape, scaled = f"{size}, {size}", "scaled so that its long side fills the square and "
    if step is not None:
        shape, scaled = f"height, width, both multiples of {step} from {size} on", ""
    return {
        "input": f"images, float32 (batch, 3, {shape}): RGB, each {scaled}"
        "normalised by (value / 255 - mean) / std; zeros to the right and below",
        "mean": list(by.mean),
        "std": list(by.std),
    }
