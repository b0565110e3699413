"""Jobs and outcomes: the values that pass between the search and an executor."""

from dataclasses import dataclass
from typing import TypeAlias

from nas.record.trial import Failure
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, LossLimit, Numerics, Weights
from search_space import BlockKind, Candidate


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to run.

    Attributes:
        trial: number of the trial.
        candidate: the architecture, with its scale where it has one of its own.
        fidelity: how much training it gets.
        seed: seed of the training.
        weights: file that its network starts from, and file that it is kept in.
        kinds: block kinds from outside the package, which a worker's process does not know.
        loss_limits: losses above which its training ends.
    """

    trial: int
    candidate: Candidate
    fidelity: Fidelity
    seed: int
    weights: Weights = NO_WEIGHTS
    kinds: tuple[BlockKind, ...] = ()
    loss_limits: tuple[LossLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class BaselineJob:
    """One evaluation of a baseline to run.

    Attributes:
        trial: stands for the number of a trial, which a baseline is none of; below 0.
        name: a baseline of the task.
        fidelity: how much training it gets.
        seed: seed of the training.
    """

    trial: int
    name: str
    fidelity: Fidelity
    seed: int


AnyJob: TypeAlias = Job | BaselineJob
"""A job of either sort: an executor need not know which of the two it runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        trial: number that its job has.
        result: the evaluation, or why there is none.
        numerics: the arithmetic that it was computed in; None where the task does not depend on it, or nothing is known
            of the evaluation.
    """

    trial: int
    result: Evaluation | Failure
    numerics: Numerics | None = None
