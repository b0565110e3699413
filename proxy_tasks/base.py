"""The contract of a proxy task: a cheap stand-in for full training that any search can use as its reward."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeAlias, runtime_checkable

from foundation import InputError, check_range, printable
from proxy_tasks.training_sample import TrainingSample
from search_space import Candidate

_LEAST_SHARE = 1e-6
_ROUNDING = 1e-9

Report: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""


def silent(what: str, num_done: int, num_total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The amount of training that a trial gets.

    Attributes:
        epochs: passes over the training images; may be a fraction.
        max_train_images: train on no more than this many of the (shuffled) training images; None for all.
    """

    epochs: float
    max_train_images: int | None = None

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, 1e-6, 1e6, "no training of that many ends")
        if self.max_train_images is not None and self.max_train_images < 1:
            raise ValueError(f"max_train_images must be 1 or more, got {self.max_train_images}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation.

    Attributes:
        metrics: named figures that depend on spec, fidelity and seed alone, except measured times. AP is a fraction in
            [0, 1].
        seconds: named durations of this one run.
        loss_curve: mean training loss in each of P parts of the training, equally long and in order; empty where the
            task has none.
        remarks: a line for a person on each thing that did not go as asked, and did not stop the evaluation either.
        stopped_at: share of the training after which a `LossLimit` ended it. Then nothing was scored: the metrics are
            some of those that are known, and the loss curve has the parts up to there. None where it came to its end.

    Raises:
        ValueError: `stopped_at` is no share of a training.
    """

    metrics: Mapping[str, float]
    seconds: Mapping[str, float] = field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()
    remarks: tuple[str, ...] = ()
    stopped_at: float | None = None

    def __post_init__(self) -> None:
        if self.stopped_at is not None:
            check_share(self.stopped_at)


@dataclass(frozen=True, slots=True)
class Numerics:
    """The arithmetic of an evaluation: where it differs, the same architecture and seed give other metrics.

    Attributes:
        precision: number format of most of the work, as `float32`.
        device: name of the GPU, or `cpu` and its instruction set, as `cpu AVX512`.
        threads: number of threads that the work is shared among; None where metrics do not depend on it.
    """

    precision: str
    device: str
    threads: int | None = None

    def __post_init__(self) -> None:
        # Shown in terminals, and a journal may come from anybody.
        object.__setattr__(self, "precision", printable(self.precision))
        object.__setattr__(self, "device", printable(self.device))

    def __str__(self) -> str:
        """Return the arithmetic in a few words, as `bfloat16 on cpu AVX512, 2 threads`."""
        threads = "" if self.threads is None else f", {self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.precision} on {self.device}{threads}"


@dataclass(frozen=True, slots=True)
class Weights:
    """Files that a network is read from before training and written to afterwards.

    Attributes:
        start_from: file of the same architecture at less training; where it is missing or damaged, training starts from
            scratch, and the evaluation remarks on it.
        keep_in: file to write the trained network to; None for nowhere.
    """

    start_from: Path | None = None
    keep_in: Path | None = None


NO_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class LossLimit:
    """A loss above which a training ends before its last step.

    Attributes:
        share: share of the training after which the loss is looked at.
        max_loss: the training goes on where the loss, the mean over the part of the loss curve that ends there, is no
            higher.

    Raises:
        ValueError: a share that is none.
    """

    share: float
    max_loss: float

    def __post_init__(self) -> None:
        check_share(self.share)


def check_share(share: float) -> None:
    """Check a share of a training after which its loss is looked at.

    Raises:
        ValueError: it is not above 0 and below 1.
    """
    if not _LEAST_SHARE <= share < 1:
        raise ValueError(f"a share of the training must be above 0 and below 1, got {share}")


def parts_at(share: float, num_parts: int) -> int:
    """Return how many of a loss curve's parts are done when a share of the training is, at least one.

    Of 20 parts, 5 at 0.25 and 6 at 0.26: a part counts once it is whole.
    """
    return max(1, math.ceil(share * num_parts - _ROUNDING))


@dataclass(frozen=True, slots=True)
class OptionRules:
    """A task's rules for its own options: no other code has to know these by name.

    Attributes:
        search_refusal: the reason why the task, as it is set, must not guide a search; empty where it may.
        optional_metrics: metrics that an option adds, each with the option that adds it, as `latency=true`.
        machine: names of options that no metric depends on, whole as `data.max_bad_share` where they belong to a part;
            they may change between two starts of one run.
        replay: names of options that a replay may set otherwise than its search did; it is then kept in a folder that
            names them.
        replay_label: a word that tells apart replays which score on different data; may be empty.
        places: names of options that say where data lies and not what it holds, as `data.root`. They may change where
            the content of the data is on record; see `DataTask`.
        added_since: options that runs of older versions do not have, with the values that do what those runs did.
        full_training: options of `nas.train` by which a network of the task is trained in full, as `head=mask_rcnn`.
        ignores_training: whether more training changes no metric, so that a replay would find out nothing.
        longest_command_s: the longest that programs may take which a trial waits for beside its training.
    """

    search_refusal: str = ""
    optional_metrics: Mapping[str, str] = field(default_factory=dict)
    machine: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()
    replay_label: str = ""
    places: tuple[str, ...] = ()
    added_since: Mapping[str, object] = field(default_factory=dict)
    full_training: tuple[str, ...] = ()
    ignores_training: bool = False
    longest_command_s: float = 0


class NonFiniteLossError(ArithmeticError):
    """Training diverged; the message names the step."""


class BadSpecError(ValueError):
    """The architecture cannot be built at this task's scale; the message says why."""


class BadDataError(InputError):
    """Data that `prepare` made is missing or damaged on this machine; the message names the file and what to do."""


@runtime_checkable
class ProxyTask(Protocol):
    """A cheap stand-in for full training. Small and picklable: heavy things are opened where they are used.

    A caller sees, in this order::

        task.metric_names      # ("ap", ..., "macs", "params"), before anything is trained: a reward may name these
        task.prepare(report)   # ("train: 1224 images, ...", ...): minutes the first time, the same at once afterwards
        task.costs(candidate)  # {"macs": 41.2e6, "params": 0.8e6}, in milliseconds: limits are compared with these
        task.load()            # None: libraries are imported, once in each process that evaluates
        task.numerics()        # Numerics("bfloat16", "cpu AVX512", threads=2), or None where machines do not differ
        task.evaluate(candidate, fidelity=Fidelity(2), seed=0)  # Evaluation({"ap": 0.031, ..., "macs": 41.2e6}, ...)
        task.verify(report)    # None: what `prepare` made is sound; InputError where it is not
    """

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that every evaluation has; the first is a fraction, and the task's score."""
        ...

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Names of the figures that `costs` returns, each a metric as well; limits may be set on them."""
        ...

    @property
    def option_rules(self) -> OptionRules:
        """The task's rules for its own options; every option is named as the constructor names it."""
        ...

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make what every trial needs, once for each machine; return at once where it is there already.

        Called in the process that drives the search, before any trial. A trial never makes what is missing.

        Args:
            report: called while something is made, and not at all where nothing is.

        Returns:
            Lines for a person that say what there is, without line breaks; the same whether it was made or found.

        Raises:
            InputError: the data cannot be used.
        """
        ...

    def verify(self, report: Report) -> None:
        """Read all that `prepare` made and compare it with its checksums.

        Args:
            report: called while it is read.

        Raises:
            InputError: something is missing or damaged; the message names it and says what to do.
        """
        ...

    def load(self) -> None:
        """Load what evaluations need, as libraries and a GPU; called once by each process that evaluates.

        That is before its first job, and on a worker within a time limit: what may hang belongs here. A worker in which
        it raises does not come up, so that a broken machine costs no trial.
        """
        ...

    def numerics(self) -> Numerics | None:
        """Return the arithmetic that evaluations in this process are computed in; called after `load`.

        It is put on record with each result, and a result is reused only where it is the same. None says that metrics
        are the same on every machine.

        Raises:
            InputError: this machine lacks what the task asks for; a worker in which it raises does not come up.
        """
        ...

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return what is known of a candidate without training it: a figure for each of `cost_names`.

        They equal the metrics of the same names. A scale of its own wins over the task's. Called after `prepare`.

        Raises:
            BadSpecError: the architecture cannot be built.
        """
        ...

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Build, train and score one candidate; the same arguments give the same metrics, measured times excepted.

        That holds for the same `numerics`, and with the same weights to start from. Where CUDA has no deterministic
        kernel for an operator, results differ by its rounding. A scale of its own wins over the task's.

        Raises:
            NonFiniteLossError: training diverged.
            BadSpecError: the architecture cannot be built.
            BadDataError: what `prepare` made is not there, or damaged.
        """
        ...


@runtime_checkable
class DataTask(ProxyTask, Protocol):
    """A proxy task whose results depend on data that a person can move or change between two starts of a run.

    A run keeps the content of its data on record: the data may lie elsewhere at the next start, but be no other::

        task.prepare(report)
        task = task.tied_to_data()
        task.data_content    # {"training annotations": "1c07...", "training images": "9be2..."}
    """

    @property
    def data_content(self) -> Mapping[str, str]:
        """Hashes of the content of each part of the data, by its name; empty until the task is tied to it."""
        ...

    def tied_to_data(self) -> Self:
        """Return the task tied to the data that `prepare` has just found.

        Evaluations of that task, on whichever machine, raise `BadDataError` where the data they find is other data.
        """
        ...


@runtime_checkable
class BaselineTask(ProxyTask, Protocol):
    """A proxy task that can also train networks which no search proposes, to compare what a search finds with them.

    A search with `baselines=true` has each trained once, by the fidelity, the seed and the workers of its trials::

        task.baseline_names    # ("spinenet-49", "r50-fpn")
        task.evaluate_baseline("r50-fpn", fidelity=Fidelity(2), seed=0)  # an Evaluation, as that of a spec
    """

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """Names of the baselines, of letters, digits, dots and hyphens; at least one."""
        ...

    def evaluate_baseline(self, name: str, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Build, train and score one baseline as `evaluate` does a spec, with the same metrics and exceptions.

        A baseline whose architecture is a spec gives what the spec gives.
        """
        ...


@runtime_checkable
class SampleTask(ProxyTask, Protocol):
    """A proxy task that shows what it trains on: wrong boxes are seen at a glance, and in no figure."""

    def training_samples(self, num_images: int, *, seed: int) -> tuple[TrainingSample, ...]:
        """Return the first images of a training with this seed, after `prepare`; fewer where there are fewer.

        Raises:
            InputError: what `prepare` makes is missing or damaged.
        """
        ...


@runtime_checkable
class ImageTask(ProxyTask, Protocol):
    """A proxy task that trains on images, and knows their number once they are prepared."""

    @property
    def num_train_images(self) -> int:
        """Images of an epoch, where the fidelity does not take fewer; called after `prepare`."""
        ...


@runtime_checkable
class StoppableTask(ProxyTask, Protocol):
    """A proxy task that can end a training by itself, where its loss is higher than it may be.

    A search with `stopping.shares` sends limits along with a job; nothing is sent while it runs::

        limits = [LossLimit(share=0.25, max_loss=1.3)]
        task.evaluate_within(candidate, fidelity=Fidelity(2), seed=0, loss_limits=limits)
        # the Evaluation of `evaluate`, or one with a part of the loss curve, without AP and with stopped_at=0.25
    """

    def evaluate_within(
        self,
        candidate: Candidate,
        *,
        fidelity: Fidelity,
        seed: int,
        loss_limits: Sequence[LossLimit],
        weights: Weights = NO_WEIGHTS,
    ) -> Evaluation:
        """Evaluate as `evaluate` does, and end the training at the first of the limits that its loss is above.

        What it does up to there, and all of it where it is above none, equals what `evaluate` does. One that is stopped
        leaves no weights.
        """
        ...
