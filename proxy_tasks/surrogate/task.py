"""The proxy task that answers from a table of trainings: nothing is trained, and the answers come from real ones."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from foundation import InputError, short_path
from proxy_tasks.base import (
    NO_WEIGHTS,
    BadDataError,
    BadSpecError,
    Evaluation,
    Fidelity,
    Numerics,
    OptionRules,
    Report,
    Weights,
)
from proxy_tasks.surrogate.forest import Features
from proxy_tasks.surrogate.recorded import COSTS, TARGET, Recorded, recorded_in
from proxy_tasks.training_table import read_table
from search_space import ArchSpec, Candidate, Decision, SearchSpace, published_spec

if TYPE_CHECKING:
    from proxy_tasks.surrogate.model import Surrogate

_Stamp = tuple[int, int]
"""Time of the last change and size of a file, in nanoseconds and bytes: while they stay, so does the content."""


@dataclass(frozen=True, slots=True)
class TableSurrogate:
    """Predicts what a training would have measured, by a forest over the trainings of a table.

    Metrics and durations are those that the table has; costs are counted, as detection counts them. An answer is the
    prediction, and on top noise that depends on architecture and training seed, as wide as recorded trainings of one
    architecture differ. However much training is asked for, an answer is that of the trainings in the table.

    Attributes:
        table: file of `python -m nas.table`.
        space: the space that is searched; that of the table.
        refuse_outside: whether an architecture fails that is further from every recorded one than each of those is from
            the nearest other.
        content: hash of the content that the table must have; None for whatever is there. See `tied_to_data`.
    """

    table: Path
    space: SearchSpace
    refuse_outside: bool = True
    content: str | None = None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that every training in the table has."""
        return (*self._recorded().metric_names, *COSTS)

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Multiply-adds and weights of the whole detector."""
        return COSTS

    @property
    def option_rules(self) -> OptionRules:
        """The table may be moved; more training changes nothing."""
        return OptionRules(places=("table",), ignores_training=True)

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Fit the surrogate, and say how good it is; see `ProxyTask.prepare`.

        Raises:
            InputError: no such table, too small a one, or one of another space.
        """
        surrogate = self._surrogate()
        recorded = surrogate.recorded
        _check_same_space(recorded.conditions.decisions, self.space, self.table)

        epochs, precision = recorded.conditions.fidelity.epochs, recorded.conditions.precision
        r2, tau, tau_of_better = surrogate.quality()
        noise = f"{recorded.noise[0]:.4f}, from {recorded.num_repeated} architectures with several trainings"
        return (
            f"table: {recorded.num_trainings} trainings of {len(recorded.specs)} architectures, {epochs:g} epochs"
            f"{f' in {precision}' if precision else ''}; {recorded.num_left_out} others are left out",
            f"held out, with 95 % intervals: R2 {r2}, Kendall's tau {tau}, in the better half {tau_of_better}",
            f"noise of {TARGET}: {noise if recorded.num_repeated else 'none, as no architecture has two trainings'}",
            f"refused: what is further than {surrogate.neighbourhood.reach:.2f} from every architecture in the table"
            if self.refuse_outside
            else "refused: nothing that can be described",
        )

    def tied_to_data(self) -> Self:
        """Return the task that answers from this content of the table alone; see `DataTask.tied_to_data`."""
        return replace(self, content=_content(self.table, _stamp(self.table)))

    @property
    def data_content(self) -> Mapping[str, str]:
        """Hash of the table; see `DataTask.data_content`."""
        return {} if self.content is None else {"table": self.content}

    def verify(self, report: Report) -> None:
        """Read the table anew; see `ProxyTask.verify`."""
        recorded_in(read_table(self.table), self.table)

    def load(self) -> None:
        """Fit the surrogate; see `ProxyTask.load`."""
        self._surrogate()

    def numerics(self) -> Numerics | None:
        """Return None: trees compare and add whole numbers, which is the same everywhere."""
        return None

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return what the detector costs at the table's scale; see `ProxyTask.costs`."""
        return self._surrogate().costs(_of_one_scale(candidate))

    def score(self, spec: ArchSpec) -> float:
        """Return AP without noise."""
        surrogate = self._surrogate()
        return float(surrogate.predict(surrogate.features(spec))[0])

    def highest(self) -> tuple[float, float]:
        """Return the highest recorded AP, which no score is above, and the most recorded multiply-adds."""
        recorded = self._recorded()
        return float(recorded.figures[:, 0].max()), max(costs["macs"] for costs in recorded.costs)

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Answer for one candidate, of which no weights exist; see `ProxyTask.evaluate`.

        Raises:
            BadSpecError: it has a scale of its own, or is far outside the table, which says nothing about it then.
            BadDataError: the table is not there, or another one.
        """
        spec, surrogate = _of_one_scale(candidate), self._tied_surrogate()
        recorded, features = surrogate.recorded, surrogate.features(spec)
        if self.refuse_outside:
            _check_inside(surrogate, features)

        # Equal specs get equal noise, as a known key is not asked for again. A lucky training is so in all metrics.
        figures = surrogate.predict(features)
        metrics, seconds = np.split(figures, [len(recorded.metric_names)])
        luck = np.random.default_rng([int(spec.key, 16), seed]).standard_normal()
        noisy = np.clip(metrics + luck * recorded.noise, *recorded.bounds)
        return Evaluation(
            metrics={**dict(zip(recorded.metric_names, noisy.tolist(), strict=True)), **surrogate.costs(spec)},
            seconds=dict(zip(recorded.duration_names, seconds.tolist(), strict=True)),
        )

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """SpineNet-49 alone: of a network that is no spec nothing can be predicted."""
        return ("spinenet-49",)

    def evaluate_baseline(self, name: str, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Answer for a published spec; see `BaselineTask.evaluate_baseline`."""
        return self.evaluate(Candidate(published_spec(name)), fidelity=fidelity, seed=seed)

    def _recorded(self) -> Recorded:
        return _recorded_at(self.table, _stamp(self.table))

    def _surrogate(self) -> "Surrogate":
        return _surrogate_at(self.table, _stamp(self.table))

    def _tied_surrogate(self) -> "Surrogate":
        """Return the surrogate in a trial, where any fault in the table is one of this machine."""
        try:
            stamp = _stamp(self.table)
            if self.content not in (None, _content(self.table, stamp)):
                raise InputError(f"{short_path(self.table)} is another table than the search began with")
            return _surrogate_at(self.table, stamp)
        except InputError as error:
            raise BadDataError(str(error)) from error


def _of_one_scale(candidate: Candidate) -> ArchSpec:
    """Return the topology of a candidate without a scale of its own.

    Raises:
        BadSpecError: it has one, and all networks of a table have the same.
    """
    if candidate.scale is not None:
        raise BadSpecError("the networks of a table have one scale: nothing is known of others")
    return candidate.spec


def _check_inside(surrogate: "Surrogate", features: Features) -> None:
    """Check that an architecture is within reach of the table.

    Raises:
        BadSpecError: it is not.
    """
    around = surrogate.neighbourhood
    distance = around.distance(features)
    if distance > around.reach:
        raise BadSpecError(
            f"far outside the table: {distance:.2f} from its nearest architecture, where {around.reach:.2f} is the "
            "furthest that one of these is from the next (task.refuse_outside=false answers all the same)"
        )


def _check_same_space(recorded: tuple[Decision, ...], space: SearchSpace, table: Path) -> None:
    """Check that the table's architectures are from the space that is searched.

    Raises:
        InputError: they are not.
    """
    if recorded == space.decisions:
        return
    pairs = zip(recorded, space.decisions, strict=False)
    differing = [
        f"{theirs.name} has {_options(theirs)} there, {ours.name} {_options(ours)}"
        for theirs, ours in pairs
        if theirs != ours
    ]
    counts = f"{len(recorded)} decisions there, {len(space.decisions)} in space"
    raise InputError(f"{short_path(table)}: is of another space than the one to search: {[*differing, counts][0]}")


def _options(decision: Decision) -> str:
    return "/".join(decision.options)


def _stamp(path: Path) -> _Stamp:
    """Return what changes with a file.

    Raises:
        InputError: there is no such file.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        raise InputError(
            f"task.table: cannot read {short_path(path)}: {error.strerror}; python -m nas.table makes one"
        ) from None
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=4)
def _content(path: Path, stamp: _Stamp) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _recorded_at(path: Path, stamp: _Stamp) -> Recorded:
    return recorded_in(read_table(path), path)


@lru_cache(maxsize=4)
def _surrogate_at(path: Path, stamp: _Stamp) -> "Surrogate":
    # Imported here: a command that builds a task and asks it for nothing does not wait for torch.
    from proxy_tasks.surrogate.model import Surrogate

    return Surrogate(_recorded_at(path, stamp), path)
