"""Trials: numbered proposals with their outcomes, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from controllers import Proposal
from foundation import printable
from proxy_tasks import LossLimit, Numerics
from search_space import ArchSpec, Candidate, ModelScale

FailureKind: TypeAlias = Literal[
    "nan",
    "out_of_memory",
    "timeout",
    "gpu_lost",
    "worker_lost",
    "node_lost",
    "bad_spec",
    "bad_data",
    "error",
    "over_limit",
]
Status: TypeAlias = Literal["running", "completed", "stopped", "failed", "reused", "rejected"]


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why an evaluation gave no metrics.

    Attributes:
        kind: `nan`: training diverged; `out_of_memory`; `timeout`: it took longer than the executor allows;
            `gpu_lost`: its GPU, or its process's context on it, can be used no more; `worker_lost`: its process died;
            `node_lost`: its machine died or left the cluster; `bad_spec`: the architecture cannot be built;
            `bad_data`: the data or its cache is missing or damaged where it ran; `over_limit`: it costs too much, and
            was never trained; `error`: anything else that was raised.
        message: one line.
        traceback: trace of the exception, if there was one.
    """

    kind: FailureKind
    message: str
    traceback: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))


@dataclass(frozen=True, slots=True)
class Trial:
    """One numbered proposal, from ask to tell.

    Attributes:
        number: counted from 0, in the order of asking.
        proposal: decisions that the controller, or a promotion, proposed.
        spec: architecture that the decisions describe.
        key: canonical key of the candidate.
        status: `running` until it is told; `stopped` when its loss was above a limit; `reused` when an earlier trial
            had the same key; `rejected` when it was over a hard limit and never trained.
        reward: what the controller was told; None while running, when failed, stopped and rejected, and where a stopped
            trial was reused.
        metrics: the proxy task's metrics; those of the earlier trial where reused; the costs where rejected.
        seconds: durations of the evaluation; empty where nothing was trained.
        loss_curve: mean training loss in equally long parts of the training; empty where nothing was trained.
        failure: why it failed or was rejected, if it was.
        reused_from: number of the earlier trial, where reused.
        remarks: lines on what did not go as asked, and did not stop the evaluation either.
        numerics: the arithmetic that its metrics were computed in; None where that is not on record.
        attempts: failures of earlier attempts, after which it was run again.
        loss_limits: losses above which its training ends.
        stopped_at: share of its training after which it was stopped; None where it was not.
        scale: scale that the decisions describe; None where the space searches none.
    """

    number: int
    proposal: Proposal
    spec: ArchSpec
    key: str
    status: Status = "running"
    reward: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()
    failure: Failure | None = None
    reused_from: int | None = None
    remarks: tuple[str, ...] = ()
    numerics: Numerics | None = None
    attempts: tuple[Failure, ...] = ()
    loss_limits: tuple[LossLimit, ...] = ()
    stopped_at: float | None = None
    scale: ModelScale | None = None

    @property
    def candidate(self) -> Candidate:
        """The architecture, with its scale where it has one of its own."""
        return Candidate(self.spec, self.scale)

    @property
    def rung(self) -> int:
        """Number of times that the architecture was promoted to more training before this trial."""
        return self.proposal.rung

    @property
    def share_done(self) -> float:
        """Share of its training that was done, where it was trained: below 1 where it was stopped."""
        return 1.0 if self.stopped_at is None else self.stopped_at


def ranking_key(trial: Trial) -> tuple[int, float, int]:
    """Return the key that sorts trials with a reward, the best first.

    Those that were promoted further come first, as rewards of less training do not compare with theirs; of two equal
    rewards the earlier comes first.
    """
    return -trial.rung, -(trial.reward or 0.0), trial.number


def best_trials(trials: Mapping[int, Trial], count: int | None = None) -> list[Trial]:
    """Return trials with a reward, best first, each architecture once."""
    ranked = sorted((trial for trial in trials.values() if trial.reward is not None), key=ranking_key)

    best_of_key: dict[str, Trial] = {}
    for trial in ranked:
        best_of_key.setdefault(trial.key, trial)
    return list(best_of_key.values())[:count]
