"""What is sent out to be evaluated, and what comes back."""

from dataclasses import dataclass

from nas.record.trial import Failure
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, Weights
from search_space import ArchSpec


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent out to be evaluated."""

    trial: int
    spec: ArchSpec
    fidelity: Fidelity
    seed: int
    weights: Weights = NO_WEIGHTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes back: an evaluation, or why there is none."""

    trial: int
    result: Evaluation | Failure
