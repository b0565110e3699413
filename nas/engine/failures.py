"""Handling of failed trials: whether one is retried, and when so many fail that the search stops."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from foundation import check_range
from nas.record.events import MAX_TRIALS
from nas.record.failures import failure_lines
from nas.record.trial import Failure, Trial

Action: TypeAlias = Literal["fail", "retry", "stop"]


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """Names an action for each kind of failure.

    `fail` tells the controller that the trial failed. `retry` runs it again, `max_retries` times for each kind; after
    that it fails. `stop` ends the search and leaves the trial open: the next start resumes it.

    Attributes:
        nan: training diverged.
        out_of_memory: the GPU or the machine had no memory left.
        timeout: the trial took longer than the executor allows.
        gpu_lost: its GPU vanished or failed, or a kernel accessed memory wrongly; its process cannot use it any more.
        worker_lost: its process died.
        node_lost: its machine died or left the cluster.
        bad_spec: the architecture cannot be built.
        bad_data: the data or its cache is missing or damaged where the trial ran.
        error: anything else that was raised.
        max_retries: most retries of a trial for each kind of failure; 0 lets it fail at once.
        max_failed_share: largest share of the last `window` trials that may fail; more stop the search.
        window: how many of the last trials are looked at; those of earlier starts of a run do not count.

    Raises:
        ValueError: a number out of range.
    """

    nan: Action = "fail"
    out_of_memory: Action = "retry"
    timeout: Action = "fail"
    gpu_lost: Action = "retry"
    worker_lost: Action = "retry"
    node_lost: Action = "retry"
    bad_spec: Action = "fail"
    bad_data: Action = "stop"
    error: Action = "fail"
    max_retries: int = 2
    max_failed_share: float = 0.5
    window: int = 20

    def __post_init__(self) -> None:
        check_range("max_retries", self.max_retries, 0, 1_000_000, "each is an evaluation")
        if not 0 <= self.max_failed_share <= 1:
            raise ValueError(f"max_failed_share must be 0 to 1, got {self.max_failed_share}")
        check_range("window", self.window, 1, MAX_TRIALS, "no run has more trials")

    def action(self, failure: Failure, attempts: Iterable[Failure]) -> Action:
        """Return what to do about a failure of a trial.

        Args:
            failure: failure of the attempt that has just ended.
            attempts: failures of the trial's earlier attempts.
        """
        # Every kind but `over_limit`, which no evaluation ends in, is a field of this class.
        action: Action = getattr(self, failure.kind)
        if action != "retry":
            return action
        num_retried = sum(earlier.kind == failure.kind for earlier in attempts)
        return "retry" if num_retried < self.max_retries else "fail"


class FailureWatch:
    """Watches the last trials that were run, and says when too many of them failed."""

    def __init__(self, policy: FailurePolicy) -> None:
        self._policy = policy
        self._recent: deque[Trial] = deque(maxlen=policy.window)

    def note(self, trial: Trial) -> None:
        """Take in a trial that was run and has ended."""
        self._recent.append(trial)

    def why_stop(self) -> str | None:
        """Return why the search should stop; None while it should not."""
        failed = [trial for trial in self._recent if trial.failure is not None]
        # Against the whole window, even before it is full: one failure among the first two trials stops nothing.
        if len(failed) <= self._policy.max_failed_share * self._policy.window:
            return None
        return f"{len(failed)} of the last {len(self._recent)} trials failed: {'; '.join(failure_lines(failed))}"
