"""The detection proxy task: its options and their checks, and the contract that a search calls."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self, get_args

from proxy_tasks.base import NO_WEIGHTS, Evaluation, Fidelity, Numerics, OptionRules, Report, Weights
from proxy_tasks.coco.folder import MACHINE, PLACES
from proxy_tasks.coco.image_store import FORMATS, Format
from proxy_tasks.coco.open_data import (
    Classes,
    Data,
    DataContent,
    DataOptions,
    ScoreOn,
    prepare_data,
    prepared_content,
    verify_data,
)
from proxy_tasks.detection.data_summary import data_summary
from proxy_tasks.detection.evaluation_options import EvaluationOptions
from proxy_tasks.detection.scoring import METRIC_NAMES
from proxy_tasks.device_options import DEVICE_NAMES, Precision
from proxy_tasks.latency_options import LatencyOptions, latency_options
from proxy_tasks.onnx_extra import check_onnx_packages
from proxy_tasks.training.recipe import Recipe
from search_space import ArchSpec, ModelScale


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
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.
        latency: how to time each network on one image after training, normalisation folded, as `latency_ms`; true is
            short for `runtime=torch`, false for none. Times are kept below `cache_dir` and not measured again.
        per_class_ap: whether the metrics hold AP of each class too, as `ap/` and the category's name.
        content: the content that the data must have; None for whatever is there. See `tied_to_data`.

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
    latency: bool | LatencyOptions = False
    per_class_ap: bool = False
    content: DataContent | None = None

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
        return (*METRIC_NAMES, "loss", "params", "macs", *(["latency_ms"] if self.timing.runtime else []))

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Multiply-adds and weights of the whole detector."""
        return ("macs", "params")

    @property
    def option_rules(self) -> OptionRules:
        """The validation set is for replays; cache folder and what is refused may differ, and data may be moved."""
        refusal = (
            "task.score_on=val is for nas.replay: a search that has seen the validation images cannot be judged by them"
        )
        return OptionRules(
            search_refusal=refusal if self.score_on == "val" else "",
            longest_command_s=self.timing.longest_s,
            optional_metrics={"latency_ms": "latency=true"},
            machine=(*MACHINE, "latency.timeout_s"),
            replay=("score_on", "device", "precision"),
            replay_label=self.score_on,
            places=tuple(f"data.{name}" for name in PLACES),
            added_since={
                **{f"latency.{name}": value for name, value in asdict(LatencyOptions()).items()},
                "cache_format": "raw",
                "per_class_ap": False,
                "data.num_classes": 3,
                "scale.stem_width": 64,
                "recipe.adamw_beta2": 0.999,
            },
        )

    @property
    def timing(self) -> LatencyOptions:
        """The manner in which networks are timed."""
        return latency_options(self.latency)

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
            content=self.content,
        )

    @property
    def evaluation_options(self) -> EvaluationOptions:
        """The options that an evaluation follows."""
        return EvaluationOptions(
            data=self.data_options,
            scale=self.scale,
            recipe=self.recipe,
            device=self.device,
            precision=self.precision,
            latency=self.timing,
            per_class_ap=self.per_class_ap,
        )

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make or find the data and decode it, and time one network by way of its file; see `ProxyTask.prepare`."""
        self._check_packages()
        lines = prepare_data(self.data_options, report, lambda data: data_summary(data, self.scale))
        if not self.timing.needs_onnx:
            return lines

        # Imported here, as in `costs`.
        from proxy_tasks.detection.latency_metrics import rehearse

        return (*lines, *rehearse(self.evaluation_options, self.baseline_names[0], report))

    def tied_to_data(self) -> Self:
        """Return the task that evaluates on the data just prepared alone; see `DataTask.tied_to_data`."""
        return replace(self, content=prepared_content(self.data_options))

    @property
    def data_content(self) -> Mapping[str, str]:
        """Hashes of the annotations and images of each split; see `DataTask.data_content`."""
        return {} if self.content is None else self.content.parts()

    def verify(self, report: Report) -> None:
        """Compare the checksums of all images; see `ProxyTask.verify`."""
        verify_data(self.data_options, report)

    def load(self) -> None:
        """Import torch and all that evaluates, and start the device; see `ProxyTask.load`."""
        self._check_packages()

        # Imported here, as in `costs`.
        import proxy_tasks.detection.evaluation  # noqa: F401  # for what importing it does
        from proxy_tasks.runtime import pick_device, start_device

        start_device(pick_device(self.device))

    def numerics(self) -> Numerics:
        """Return what networks are trained and scored in on this machine; see `ProxyTask.numerics`."""
        # Imported here, as in `costs`.
        from proxy_tasks.runtime import numerics_on

        return numerics_on(self.device, self.precision)

    def costs(self, spec: ArchSpec) -> Mapping[str, float]:
        """Return what the detector costs at this scale; see `ProxyTask.costs`."""
        # Imported here: a command that only prepares data does not wait for torch.
        from proxy_tasks.detection.evaluation import detector_costs

        return detector_costs(self.evaluation_options, spec)

    def evaluate(self, spec: ArchSpec, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS) -> Evaluation:
        """Train and score one spec; see `ProxyTask.evaluate` and, for how it is done, `evaluate_detector`."""
        # Imported here, as in `costs`.
        from proxy_tasks.detection.evaluation import evaluate_detector

        return evaluate_detector(self.evaluation_options, spec, fidelity=fidelity, seed=seed, weights=weights)

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """SpineNet-49's topology and ResNet-50 with a feature pyramid, both at the task's scale."""
        return ("spinenet-49", "r50-fpn")

    def evaluate_baseline(self, name: str, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Train and score a named network; see `BaselineTask.evaluate_baseline`."""
        # Imported here, as in `costs`.
        from proxy_tasks.detection.evaluation import evaluate_detector

        return evaluate_detector(self.evaluation_options, name, fidelity=fidelity, seed=seed)

    def _check_packages(self) -> None:
        """Check that what writes ONNX files is there where networks are timed by them.

        Raises:
            InputError: it is not.
        """
        if self.timing.needs_onnx:
            check_onnx_packages(f"task.latency.runtime={self.timing.runtime}")
