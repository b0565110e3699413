"""Jobs and outcomes: the values that pass between the search and an executor."""

from dataclasses import dataclass

from nas.record.trial import Failure
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, Weights
from search_space import ArchSpec


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to run: which architecture, how much training, and from which weights."""

    trial: int
    spec: ArchSpec
    fidelity: Fidelity
    seed: int
    weights: Weights = NO_WEIGHTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job: an evaluation, or why there is none."""

    trial: int
    result: Evaluation | Failure
