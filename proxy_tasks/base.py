"""What a proxy task must offer, so that any search can use it as its reward."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from foundation import InputError
from search_space import ArchSpec

Report: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""


def silent(what: str, num_done: int, num_total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How much of the proxy task a trial gets.

    Attributes:
        epochs: passes over the training images; may be a fraction.
        max_train_images: train on the first so many of the (shuffled) training images only; None for all.
    """

    epochs: float
    max_train_images: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.epochs < math.inf:
            raise ValueError(f"epochs must be a number above 0, got {self.epochs}")
        if self.max_train_images is not None and self.max_train_images < 1:
            raise ValueError(f"max_train_images must be 1 or more, got {self.max_train_images}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a proxy task found.

    Attributes:
        metrics: named figures that depend on spec, fidelity and seed alone, except measured times. AP is a fraction in
            [0, 1].
        seconds: named durations of this one run.
        loss_curve: mean training loss in each of P parts of the training, equally long and in order; empty where the
            task has none.
    """

    metrics: Mapping[str, float]
    seconds: Mapping[str, float] = field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a network is taken from before training, and where it is left afterwards.

    Attributes:
        start_from: file of the same architecture at less training; where there is none, training starts anew.
        keep_in: file to leave the trained network in; None for nowhere.
    """

    start_from: Path | None = None
    keep_in: Path | None = None


NO_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class OptionRules:
    """What a task says about its own options, so that nobody else has to know them by name.

    Attributes:
        search_refusal: why the task, as it is set, must not guide a search; empty where it may.
        optional_metrics: metrics that an option adds, each with that option, as `latency=true`.
        machine: options that no metric depends on; they may change between two starts of one run.
        replay: options that a replay may set otherwise than its search did.
        replay_label: a word that tells replays apart which score on other data; may be empty.
    """

    search_refusal: str = ""
    optional_metrics: Mapping[str, str] = field(default_factory=dict)
    machine: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()
    replay_label: str = ""


class NonFiniteLossError(ArithmeticError):
    """Training diverged; the message names the step."""


class BadSpecError(ValueError):
    """The architecture cannot be built at this task's scale; the message says why."""


class BadDataError(InputError):
    """What `prepare` made is missing or damaged on this machine; the message names the file and what to do."""


@runtime_checkable
class ProxyTask(Protocol):
    """A cheap stand-in for full training. Small and picklable: heavy things are opened where they are used."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that every evaluation has."""
        ...

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Names of the figures that `costs` gives; limits may be set on them."""
        ...

    @property
    def option_rules(self) -> OptionRules:
        """What the task says about its own options."""
        ...

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make what every trial needs, once for each machine; return at once where it is there already.

        Returns:
            Lines for a person that say what there is.

        Raises:
            InputError: the data cannot be used.
        """
        ...

    def verify(self, report: Report) -> None:
        """Read through what `prepare` made.

        Raises:
            InputError: it is damaged; the message says what to do.
        """
        ...

    def costs(self, spec: ArchSpec) -> Mapping[str, float]:
        """Return what is known of a spec without training it: `macs` and `params`, as its metrics will have them.

        Called after `prepare`.
        """
        ...

    def evaluate(self, spec: ArchSpec, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS) -> Evaluation:
        """Build, train and score one spec; the same arguments give the same metrics, measured times excepted.

        That is: on the same machine with the same number of threads, and with the same weights to start from. Where
        CUDA has no deterministic kernel for an operator, results differ by its rounding. Never makes what `prepare`
        makes: that may take an hour.

        Raises:
            NonFiniteLossError: training diverged.
            BadSpecError: the architecture cannot be built.
            BadDataError: what `prepare` made is not there, or damaged.
        """
        ...
