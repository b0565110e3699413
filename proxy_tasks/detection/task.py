"""The detection proxy task: build one spec, train it for a while, and score it by COCO's average precision."""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from foundation import InputError
from proxy_tasks.base import (
    NO_WEIGHTS,
    BadDataError,
    BadSpecError,
    Evaluation,
    Fidelity,
    OptionRules,
    Report,
    Weights,
    silent,
)
from proxy_tasks.coco.annotations import NO_CATEGORY, Annotations, with_id_labels
from proxy_tasks.coco.batches import Batch, load_batches, training_rows
from proxy_tasks.coco.cache import CachedSplit, cached_split, check_cache, check_source, existing_split
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.held_out import recorded_split, split_held_out
from proxy_tasks.coco.image_store import FORMATS, Format
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.detections import detect
from proxy_tasks.detection.scoring import METRIC_NAMES, ScoredBoxes, score
from proxy_tasks.detection.training import Recipe, mean_of_parts, train
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.profile import network_latency
from proxy_tasks.networks.retinanet import spinenet_detector
from proxy_tasks.networks.weights import load_network, save_network
from proxy_tasks.runtime import DEVICE_NAMES, has_fast_bf16, keep_freed_memory, pick_device
from search_space import ArchSpec, ModelScale

NUM_CURVE_POINTS = 20
"""Of the loss of a trial: enough to see it fall or diverge, and little to keep for 100,000 of them."""
_STATISTICS_BATCHES = 20
_SCORING_BATCH_SIZE = 32
_SEEDS = 2**32
"""More than there are seeds of a run."""


@runtime_checkable
class Data(Protocol):
    """Gives a COCO folder, made on the spot or already there."""

    def folder(self, report: Report) -> CocoFolder:
        """Return the folder; make it first if need be."""
        ...


@dataclass(frozen=True, slots=True)
class DetectionProxy:
    """RetinaNet on COCO-format data at a reduced scale.

    Attributes:
        data: where the images are.
        scale: how big each spec is built, and the image size.
        recipe: how each is trained.
        score_on: `held_out`, or `val` for the validation set, which a search should not see.
        classes: `dense` numbers the data's categories without gaps; `ids` takes their own ids as classes, as the
            reference does: 91 for COCO, those without a category and 0, the background, being dropped when scoring.
        cache_dir: where decoded images are kept.
        cache_format: how: `raw`, `3 * image_size_px**2` bytes each, or `jpeg`, about a tenth, decoded when read.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: of the convolutions; `auto` is bfloat16 where the processor computes it fast.
        latency: whether to time each network on one image after training, normalisation folded, as `latency_ms`. A time
            is never the same twice, so neither are such metrics.
        per_class_ap: whether the metrics hold AP of each class too, as `ap/` and the category's name.

    Source: SpineNet (arXiv 1912.05027), section 5.1.
    """

    data: Data
    scale: ModelScale
    recipe: Recipe = field(default_factory=Recipe)
    score_on: Literal["held_out", "val"] = "held_out"
    classes: Literal["dense", "ids"] = "dense"
    cache_dir: Path = Path("data/cache")
    cache_format: Format = "raw"
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    latency: bool = False
    per_class_ap: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICE_NAMES, self.device):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")
        if self.classes not in ("dense", "ids"):
            raise ValueError(f"classes must be dense or ids, got {self.classes!r}")
        if self.cache_format not in FORMATS:
            raise ValueError(f"cache_format must be {' or '.join(FORMATS)}, got {self.cache_format!r}")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """COCO's twelve figures, the last training loss, and the network's cost."""
        return (*METRIC_NAMES, "loss", "params", "macs", *(["latency_ms"] if self.latency else []))

    @property
    def cost_names(self) -> tuple[str, ...]:
        """What `costs` gives."""
        return ("macs", "params")

    @property
    def option_rules(self) -> OptionRules:
        """Who may score on what, and what may change between two starts."""
        refusal = (
            "task.score_on=val is for nas.replay: a search that has seen the validation images cannot be judged by"
        )
        return OptionRules(
            search_refusal=f"{refusal} them" if self.score_on == "val" else "",
            optional_metrics={"latency_ms": "latency=true"},
            machine=("cache_dir",),
            replay=("score_on", "device", "precision"),
            replay_label=self.score_on,
        )

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make or find the data and decode it; see `ProxyTask.prepare`."""
        folder = self.data.folder(report)
        data = _read_data(self, report)
        check_source(data.train, folder.paths("train")[1])
        if self.score_on == "val":
            check_source(data.scored, folder.paths("val")[1])
        return ()

    def verify(self, report: Report) -> None:
        """Compare the checksums of all images; see `ProxyTask.verify`."""
        data = _read_data(self, None)
        check_cache(data.train, report)
        if self.score_on == "val":
            check_cache(data.scored, report)

    def costs(self, spec: ArchSpec) -> Mapping[str, float]:
        """Return what the detector costs at this scale; see `ProxyTask.costs`."""
        num_classes = len(_open_data(self).train.annotations.category_ids)
        cost = detector_cost(spec, self.scale, num_classes)
        return {"macs": float(cost.macs), "params": float(cost.params)}

    def evaluate(self, spec: ArchSpec, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS) -> Evaluation:
        """Train and score one spec; see `ProxyTask.evaluate`.

        A network with weights to start from is trained for the epochs that it lacks, under a schedule of its own. The
        metrics then say how many it had before, as `epochs_before`.
        """
        keep_freed_memory()
        started = time.perf_counter()
        device = pick_device(self.device)
        try:
            data = _open_data(self)
        except InputError as error:
            raise BadDataError(str(error)) from error
        num_classes = len(data.train.annotations.category_ids)
        torch.manual_seed(seed)
        try:
            network = spinenet_detector(spec, self.scale, num_classes)
        except ValueError as error:
            raise BadSpecError(str(error)) from error
        network = network.to(device).to(memory_format=torch.channels_last)
        epochs_before = 0.0
        if weights.start_from is not None:
            epochs_before = load_network(network, weights.start_from, fidelity.epochs)
        anchors = make_anchors(network.output_levels, self.scale.image_size_px, self.scale.anchor_scale, device)
        bf16 = has_fast_bf16(device.type) if self.precision == "auto" else self.precision == "bfloat16"

        rows = data.train_rows[: fidelity.max_train_images]
        num_steps = max(1, round((fidelity.epochs - epochs_before) * len(rows) / self.recipe.batch_size))
        # A network that goes on sees other orders and augmentations than it has seen.
        draws = seed + _SEEDS * round(epochs_before * len(rows) / self.recipe.batch_size)
        steps = training_rows(rows, self.recipe.batch_size, num_steps, draws)
        batches = _read(load_batches(data.train, steps, device))
        losses = train(network, batches, anchors, self.recipe, num_steps, bf16=bf16, seed=draws)
        trained = time.perf_counter()

        # After few steps the running averages lag behind the weights: take them anew from training images.
        steps = training_rows(rows, self.recipe.batch_size, _STATISTICS_BATCHES, seed)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            update_bn((batch.images for batch in _read(load_batches(data.train, steps, device))), network)
        if weights.keep_in is not None:
            save_network(network, weights.keep_in, fidelity.epochs)
        found = self._detect_all(network, anchors, data, device, bf16)
        metrics = score(data.scored.annotations, data.scored_rows, found, per_class=self.per_class_ap)
        scored = time.perf_counter()
        seconds = {"train": trained - started, "score": scored - trained}
        if self.latency:
            metrics["latency_ms"] = self._latency_ms(spec, num_classes)
            seconds["latency"] = time.perf_counter() - scored
        if weights.start_from is not None:
            metrics["epochs_before"] = epochs_before
        metrics |= {"loss": float(losses[-1]), **self.costs(spec)}
        return Evaluation(metrics, seconds, loss_curve=mean_of_parts(losses, NUM_CURVE_POINTS))

    def _latency_ms(self, spec: ArchSpec, num_classes: int) -> float:
        size = self.scale.image_size_px
        return network_latency(
            spec,
            self.scale,
            (size, size),
            num_classes=num_classes,
            device=self.device,
            precision=self.precision,
        ).median_ms

    def _detect_all(
        self, network: nn.Module, anchors: Tensor, data: "_OpenData", device: torch.device, bf16: bool
    ) -> ScoredBoxes:
        size = self.scale.image_size_px
        unused = [i for i, name in enumerate(data.scored.annotations.category_names) if name == NO_CATEGORY]
        rows, boxes, labels, scores = [], [], [], []
        network.eval()
        with torch.inference_mode():
            chunks = list(_chunks(data.scored_rows, _SCORING_BATCH_SIZE))
            for chunk, batch in zip(chunks, _read(load_batches(data.scored, chunks, device)), strict=True):
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    raw = network(batch.images)
                raw.class_logits[..., unused] = -math.inf
                found = detect(raw, anchors, size)
                rows.append(chunk[found.image.cpu().numpy()])
                boxes.append(found.boxes_xyxy.cpu().numpy() / data.scored.scales[rows[-1]][:, None])
                labels.append(found.labels.cpu().numpy())
                scores.append(found.scores.cpu().numpy().astype(np.float64))
        return ScoredBoxes(np.concatenate(rows), np.concatenate(boxes), np.concatenate(labels), np.concatenate(scores))


@dataclass(frozen=True, slots=True, eq=False)
class _OpenData:
    train: CachedSplit
    train_rows: NDArray[np.int64]
    scored: CachedSplit
    scored_rows: NDArray[np.int64]


@lru_cache(maxsize=2)
def _open_data(task: DetectionProxy) -> _OpenData:
    """Keep the data open between the trials of one process."""
    return _read_data(task, None)


def _read_data(task: DetectionProxy, report: Report | None) -> _OpenData:
    """Open the data; make what is missing if there is somebody to report to."""
    folder = task.data.folder(report or silent)

    def open_split(name: Literal["train", "val"], check: Callable[[Annotations], None]) -> CachedSplit:
        key = folder.cache_key(name, task.scale.image_size_px, task.cache_format, task.cache_dir)
        if report is not None:
            return cached_split(key, report, check)
        split = existing_split(key)
        check(split.annotations)
        return split

    # What can be wrong with annotations is looked at before the images are decoded, which may take an hour; so the
    # validation set, the smaller one, comes first.
    val: CachedSplit | None = None
    if task.score_on == "val":
        val = open_split("val", lambda val: _check_scored(folder.paths("val")[0], val, np.arange(val.num_images)))

    def check_train(train: Annotations) -> None:
        _, held_out = split_held_out(train.num_images, folder.num_held_out, folder.split_seed)
        if val is None:
            _check_scored(folder.paths("train")[0], train, held_out)
        else:
            folder.check_categories(train, val.annotations)

    train = open_split("train", check_train)
    train_rows, held_out = recorded_split(train, folder.num_held_out, folder.split_seed, may_choose=report is not None)
    train = _with_labels(task, train)
    if val is None:
        return _OpenData(train, train_rows, train, held_out)
    return _OpenData(train, train_rows, _with_labels(task, val), np.arange(val.annotations.num_images))


def _read(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Give the batches, and say so where it is the disk that fails."""
    try:
        yield from batches
    except OSError as error:
        raise BadDataError(f"cannot read the image cache: {error}") from error


def _with_labels(task: DetectionProxy, split: CachedSplit) -> CachedSplit:
    """Return the split with the labels that the task's `classes` asks for."""
    return split if task.classes == "dense" else replace(split, annotations=with_id_labels(split.annotations))


def _check_scored(file: Path, annotations: Annotations, rows: NDArray[np.int64]) -> None:
    """Check that there is something to find in the images that are scored."""
    spans = (slice(annotations.first_box[row], annotations.first_box[row + 1]) for row in rows)
    if not any((~annotations.is_crowd[span]).any() for span in spans):
        raise InputError(f"{file}: none of the {len(rows)} images to score on has a box, so there is no AP")


def _chunks(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
