"""The part that all proxy tasks share which train networks on images: options, their checks, and the contract."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from foundation import InputError
from proxy_tasks.base import NO_WEIGHTS, Evaluation, Fidelity, LossLimit, Numerics, OptionRules, Report, Weights
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.folder import MACHINE, PLACES
from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.open_data import (
    Classes,
    Data,
    DataContent,
    DataOptions,
    OpenData,
    ScoreOn,
    open_data,
    prepare_data,
    prepared_content,
    verify_data,
)
from proxy_tasks.device_options import DEVICE_NAMES, Precision
from proxy_tasks.latency_options import LatencyOptions, latency_options
from proxy_tasks.onnx_extra import check_onnx_head, check_onnx_packages
from proxy_tasks.short_training.evaluation_options import EvaluationOptions
from proxy_tasks.training.recipe import Recipe
from search_space import ArchSpec, Candidate, ModelScale

if TYPE_CHECKING:
    from proxy_tasks.networks.named_networks import Head
    from proxy_tasks.short_training.head import TrialHead


@dataclass(frozen=True, slots=True)
class TrainedProxy(ABC):
    """A proxy task that trains a network with one head on images, at a reduced scale.

    A task of one head adds its own options, and says which head, data and figures it has.

    Attributes:
        data: the source of the images.
        scale: size of each network that is built, and of the images; a candidate's own scale takes its place, whose
            images may be larger only where the cache holds native ones.
        recipe: how each network is trained.
        score_on: `held_out`, or `val` for the validation set, which a search should not see.
        cache_dir: folder that decoded images are kept in.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.
        latency: how to time each network on one image after training, normalisation folded, as `latency_ms`; true is
            short for `runtime=torch`, false for none. Times are kept below `cache_dir` and not measured again.
        content: the content that the data must have; None for whatever is there. See `tied_to_data`.
        pretrained: file of a trained network, of any architecture and head, that every network starts from: each
            tensor that has the same name and size there; None for random weights.

    Raises:
        ValueError: an option has a word that it does not know.
    """

    data: Data
    scale: ModelScale
    recipe: Recipe = field(default_factory=Recipe)
    score_on: ScoreOn = "held_out"
    cache_dir: Path = Path("data/cache")
    device: str = "auto"
    precision: Precision = "auto"
    latency: bool | LatencyOptions = False
    content: DataContent | None = None
    pretrained: Path | None = None

    places: ClassVar[tuple[str, ...]] = PLACES
    """Options of its data that say where that lies."""
    added_since: ClassVar[Mapping[str, object]] = {"pretrained": None}
    """Options that its runs of older versions do not have; see `OptionRules`."""
    full_training: ClassVar[tuple[str, ...]] = ()
    """Options by which `nas.train` trains its networks; see `OptionRules`."""

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICE_NAMES, self.device):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")

        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                raise ValueError(f"{name} must be {' or '.join(get_args(hint))}, got {getattr(self, name)!r}")

        # Making them checks the numbers in them.
        _ = self.data_options

    @property
    @abstractmethod
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that its head measures; the first is the one that counts."""

    @property
    @abstractmethod
    def head(self) -> "Head":
        """The head of its networks; see `build_network`."""

    @property
    @abstractmethod
    def data_options(self) -> DataOptions:
        """The options that decide which data the task uses."""

    @abstractmethod
    def trial_head(self, scale: ModelScale) -> "TrialHead[Any, Any]":
        """Return what trains and scores networks of a scale; its module, and torch, are imported here."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The figures of its head, the last training loss, and the network's cost."""
        added = {"latency_ms": self.timing.runtime, "pretrained_share": self.pretrained}
        return (*self.figures, "loss", "params", "macs", *(name for name, is_asked in added.items() if is_asked))

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Multiply-adds and weights of the whole network."""
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
            optional_metrics={"latency_ms": "latency=true", "pretrained_share": "pretrained=FILE"},
            machine=(*MACHINE, "latency.timeout_s"),
            replay=("score_on", "device", "precision"),
            replay_label=self.score_on,
            places=tuple(f"data.{name}" for name in self.places),
            added_since=self.added_since,
            full_training=self.full_training,
        )

    @property
    def timing(self) -> LatencyOptions:
        """The manner in which networks are timed."""
        return latency_options(self.latency)

    @property
    def evaluation_options(self) -> EvaluationOptions:
        """The options that an evaluation follows, at the task's own scale."""
        return EvaluationOptions(
            data=self.data_options,
            scale=self.scale,
            recipe=self.recipe,
            device=self.device,
            precision=self.precision,
            latency=self.timing,
            head=self.head,
            pretrained=self.pretrained,
        )

    def _options_at(self, scale: ModelScale | None) -> EvaluationOptions:
        """Return the options of an evaluation at a scale; images come from the cache of the task's own."""
        return replace(self.evaluation_options, scale=scale or self.scale)

    def _data_options(
        self,
        cache_format: Format | Native,
        classes: Classes = "dense",
        *,
        with_masks: bool = False,
        check: Callable[[Annotations, str], object] | None = None,
    ) -> DataOptions:
        """Return the options of data with those that all tasks have; see `DataOptions`."""
        return DataOptions(
            data=self.data,
            image_size_px=self.scale.image_size_px,
            score_on=self.score_on,
            classes=classes,
            cache_dir=self.cache_dir,
            cache_format=cache_format,
            content=self.content,
            with_masks=with_masks,
            check=check,
        )

    def summary(self, data: OpenData) -> tuple[str, ...]:
        """Return lines on what the data means for the head, for the end of `prepare`."""
        return ()

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make or find the data and decode it, and time one network by way of its file; see `ProxyTask.prepare`."""
        self._check_onnx()
        # Before any data is made, which may take hours.
        start = self._start_line()
        lines = (*prepare_data(self.data_options, report, self.summary), *start)
        if not self.timing.needs_onnx:
            return lines

        # Imported here, as in `costs`.
        from proxy_tasks.short_training.latency_metrics import rehearse

        return (*lines, *rehearse(self.evaluation_options, self.baseline_names[0], report))

    def tied_to_data(self) -> Self:
        """Return the task that evaluates on the data just prepared alone; see `DataTask.tied_to_data`."""
        return replace(self, content=prepared_content(self.data_options))

    @property
    def data_content(self) -> Mapping[str, str]:
        """Hashes of each split's annotations and images, and of what networks start from; see `DataTask.data_content`.

        Raises:
            InputError: the file of a trained network cannot be read.
        """
        if self.content is None:
            return {}
        return self.content.parts() | ({} if self.pretrained is None else {"pretrained": _digest(self.pretrained)})

    @property
    def num_train_images(self) -> int:
        """Images that a trial may train on, those held out not among them; see `ImageTask.num_train_images`."""
        return len(open_data(self.data_options).train_rows)

    def verify(self, report: Report) -> None:
        """Compare the checksums of all images; see `ProxyTask.verify`."""
        verify_data(self.data_options, report)

    def load(self) -> None:
        """Import torch and all that evaluates, and start the device; see `ProxyTask.load`."""
        self._check_onnx()

        # Imported here, as in `costs`.
        import proxy_tasks.short_training.evaluation  # noqa: F401  # for what importing it does
        from proxy_tasks.runtime import pick_device, start_device

        self.trial_head(self.scale)
        start_device(pick_device(self.device))

    def numerics(self) -> Numerics:
        """Return what networks are trained and scored in on this machine; see `ProxyTask.numerics`."""
        # Imported here, as in `costs`.
        from proxy_tasks.runtime import numerics_on

        return numerics_on(self.device, self.precision)

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return what the network costs at its scale; see `ProxyTask.costs`."""
        # Imported here: a command that only prepares data does not wait for torch.
        from proxy_tasks.short_training.evaluation import network_costs

        return network_costs(self._options_at(candidate.scale), candidate.spec)

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Train and score one candidate; see `ProxyTask.evaluate` and, for how it is done, `evaluate_network`."""
        return self._evaluate(candidate.spec, candidate.scale, fidelity, seed, weights)

    def evaluate_within(
        self,
        candidate: Candidate,
        *,
        fidelity: Fidelity,
        seed: int,
        loss_limits: Sequence[LossLimit],
        weights: Weights = NO_WEIGHTS,
    ) -> Evaluation:
        """Train one candidate and, unless its loss is above a limit, score it; see `StoppableTask.evaluate_within`."""
        return self._evaluate(candidate.spec, candidate.scale, fidelity, seed, weights, loss_limits)

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """SpineNet-49's topology and ResNet-50 with a feature pyramid, both at the task's scale."""
        return ("spinenet-49", "r50-fpn")

    def evaluate_baseline(self, name: str, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Train and score a named network; see `BaselineTask.evaluate_baseline`."""
        return self._evaluate(name, None, fidelity, seed, NO_WEIGHTS)

    def _evaluate(
        self,
        architecture: str | ArchSpec,
        scale: ModelScale | None,
        fidelity: Fidelity,
        seed: int,
        weights: Weights,
        loss_limits: Sequence[LossLimit] = (),
    ) -> Evaluation:
        # Imported here, as in `costs`.
        from proxy_tasks.short_training.evaluation import evaluate_network

        options = self._options_at(scale)
        head = self.trial_head(options.scale)
        return evaluate_network(
            options, head, architecture, fidelity=fidelity, seed=seed, weights=weights, loss_limits=loss_limits
        )

    def _start_line(self) -> tuple[str, ...]:
        """Return a line that says how much of SpineNet-49 the trained network has that every network starts from.

        Raises:
            InputError: its file cannot be used.
        """
        if self.pretrained is None:
            return ()

        # Imported here, as in `costs`.
        from proxy_tasks.networks.named_networks import build_network
        from proxy_tasks.short_training.pretrained import start_from

        name = self.baseline_names[0]
        network = build_network(name, self.scale, head=self.head, num_classes=2)
        share = start_from(network, self.pretrained, self.head)
        return (f"pretrained: {self.pretrained} has {share:.0%} of the numbers of {name} at this scale",)

    def _check_onnx(self) -> None:
        """Check that networks can be written as ONNX files where they are timed by them, before any data is made.

        Raises:
            InputError: the head allows none, or a package is missing.
        """
        if self.timing.needs_onnx:
            check_onnx_head(self.head, "task.latency: ")
            check_onnx_packages(f"task.latency.runtime={self.timing.runtime}")


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"task.pretrained: cannot read {path}: {error.strerror}") from None
