"""The detection proxy task: build one spec, train it for a while, and score it by COCO's average precision."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch
from torch.optim.swa_utils import update_bn

from foundation import InputError
from proxy_tasks.base import NO_WEIGHTS, BadDataError, BadSpecError, Evaluation, Fidelity, OptionRules, Report, Weights
from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.image_store import FORMATS, Format
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.open_data import (
    Classes,
    Data,
    DataOptions,
    OpenData,
    ScoreOn,
    open_data,
    prepare_data,
    read_batches,
    verify_data,
)
from proxy_tasks.detection.recipe import Recipe
from proxy_tasks.detection.scoring import METRIC_NAMES, score
from proxy_tasks.detection.training import mean_of_parts, train
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.profile import network_latency
from proxy_tasks.networks.retinanet import RetinaNet, spinenet_detector
from proxy_tasks.networks.weights import load_network, save_network
from proxy_tasks.runtime import DEVICE_NAMES, Precision, keep_freed_memory, pick_device, uses_bf16
from search_space import ArchSpec, ModelScale

NUM_CURVE_POINTS = 20
"""Points of a trial's loss curve: enough to see it fall or diverge, and little to keep for 100,000 trials."""
_NUM_STATISTICS_BATCHES = 20
_SEEDS = 2**32
"""More than there are seeds of a run."""


@dataclass(frozen=True, slots=True)
class DetectionProxy:
    """RetinaNet on COCO-format data at a reduced scale.

    Attributes:
        data: the source of the images.
        scale: size of each network that is built, and of the images.
        recipe: how each network is trained.
        score_on: `held_out`, or `val` for the validation set, which a search should not see.
        classes: `dense` numbers the data's categories without gaps; `ids` takes their own ids as classes, as the
            reference does: 91 for COCO, those without a category and 0, the background, being dropped when scoring.
        cache_dir: folder that decoded images are kept in.
        cache_format: `raw`, `3 * image_size_px**2` bytes an image, or `jpeg`, about a tenth, decoded when read.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: of the convolutions; `auto` is bfloat16 where the processor computes it fast.
        latency: whether to time each network on one image after training, normalisation folded, as `latency_ms`. A time
            is never the same twice, so neither are such metrics.
        per_class_ap: whether the metrics hold AP of each class too, as `ap/` and the category's name.

    Raises:
        ValueError: an option has a word that it does not know.

    Source: SpineNet (arXiv 1912.05027), section 5.1.
    """

    data: Data
    scale: ModelScale
    recipe: Recipe = field(default_factory=Recipe)
    score_on: ScoreOn = "held_out"
    classes: Classes = "dense"
    cache_dir: Path = Path("data/cache")
    cache_format: Format = "raw"
    device: str = "auto"
    precision: Precision = "auto"
    latency: bool = False
    per_class_ap: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICE_NAMES, self.device):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")

        for name, word, words in (
            ("score_on", self.score_on, get_args(ScoreOn)),
            ("classes", self.classes, get_args(Classes)),
            ("cache_format", self.cache_format, FORMATS),
            ("precision", self.precision, get_args(Precision)),
        ):
            if word not in words:
                raise ValueError(f"{name} must be {' or '.join(words)}, got {word!r}")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """COCO's twelve figures, the last training loss, and the network's cost."""
        return (*METRIC_NAMES, "loss", "params", "macs", *(["latency_ms"] if self.latency else []))

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Multiply-adds and weights of the whole detector."""
        return ("macs", "params")

    @property
    def option_rules(self) -> OptionRules:
        """The validation set is for replays; the cache folder may differ between machines."""
        refusal = (
            "task.score_on=val is for nas.replay: a search that has seen the validation images cannot be judged by them"
        )
        return OptionRules(
            search_refusal=refusal if self.score_on == "val" else "",
            optional_metrics={"latency_ms": "latency=true"},
            machine=("cache_dir",),
            replay=("score_on", "device", "precision"),
            replay_label=self.score_on,
        )

    @property
    def data_options(self) -> DataOptions:
        """The options that decide which data the task uses."""
        return DataOptions(
            data=self.data,
            image_size_px=self.scale.image_size_px,
            score_on=self.score_on,
            classes=self.classes,
            cache_dir=self.cache_dir,
            cache_format=self.cache_format,
        )

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make or find the data and decode it; see `ProxyTask.prepare`."""
        return prepare_data(self.data_options, report)

    def verify(self, report: Report) -> None:
        """Compare the checksums of all images; see `ProxyTask.verify`."""
        verify_data(self.data_options, report)

    def costs(self, spec: ArchSpec) -> Mapping[str, float]:
        """Return what the detector costs at this scale; see `ProxyTask.costs`."""
        cost = detector_cost(spec, self.scale, open_data(self.data_options).num_classes)
        return {"macs": float(cost.macs), "params": float(cost.params)}

    def evaluate(self, spec: ArchSpec, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS) -> Evaluation:
        """Train and score one spec; see `ProxyTask.evaluate`.

        A network with weights to start from is trained for the epochs that it lacks, under a schedule of its own. The
        metrics then say how many it had before, as `epochs_before`.
        """
        keep_freed_memory()
        started = time.perf_counter()
        device = pick_device(self.device)
        bf16 = uses_bf16(self.precision, device.type)
        data = self._open_data()

        # The seed decides the random weights that the network starts from.
        torch.manual_seed(seed)
        network = self._build(spec, data.num_classes, device)
        anchors = make_anchors(network.output_levels, self.scale.image_size_px, self.scale.anchor_scale, device)
        epochs_before = 0.0
        if weights.start_from is not None:
            epochs_before = load_network(network, weights.start_from, fidelity.epochs)

        # A network that resumes is trained for the epochs that it lacks. Its seed is one that no run has, so it sees
        # other orders and augmentations than before.
        rows = data.train_rows[: fidelity.max_train_images]
        batch_size = self.recipe.batch_size
        num_steps = max(1, round((fidelity.epochs - epochs_before) * len(rows) / batch_size))
        training_seed = seed + _SEEDS * round(epochs_before * len(rows) / batch_size)
        batches = read_batches(data.train, training_rows(rows, batch_size, num_steps, training_seed), device)
        losses = train(network, batches, anchors, self.recipe, num_steps, bf16=bf16, seed=training_seed)
        trained = time.perf_counter()

        # After few steps the running averages of batch norm lag behind the weights: take them again from some images.
        batches = read_batches(data.train, training_rows(rows, batch_size, _NUM_STATISTICS_BATCHES, seed), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            update_bn((batch.images for batch in batches), network)

        if weights.keep_in is not None:
            save_network(network, weights.keep_in, fidelity.epochs)

        found = detect_all(network, anchors, data.scored, data.scored_rows, bf16=bf16)
        metrics = score(data.scored.annotations, data.scored_rows, found, per_class=self.per_class_ap)
        scored = time.perf_counter()
        seconds = {"train": trained - started, "score": scored - trained}

        if self.latency:
            metrics["latency_ms"] = self._latency_ms(spec, data.num_classes)
            seconds["latency"] = time.perf_counter() - scored
        if weights.start_from is not None:
            metrics["epochs_before"] = epochs_before
        metrics |= {"loss": float(losses[-1]), **self.costs(spec)}
        return Evaluation(metrics, seconds, loss_curve=mean_of_parts(losses, NUM_CURVE_POINTS))

    def _open_data(self) -> OpenData:
        """Open the data in a trial, where all that is wrong with it is this machine's."""
        try:
            return open_data(self.data_options)
        except InputError as error:
            raise BadDataError(str(error)) from error

    def _build(self, spec: ArchSpec, num_classes: int, device: torch.device) -> RetinaNet:
        """Build the network on the device, in the layout in which convolutions are fastest."""
        try:
            network = spinenet_detector(spec, self.scale, num_classes)
        except ValueError as error:
            raise BadSpecError(str(error)) from error
        return network.to(device).to(memory_format=torch.channels_last)

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
