"""The status of a running search: what was counted, the best so far, and its speed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from nas.engine.workers import Gpu, Workers
from nas.record.comparison import compares
from nas.record.record import Record
from nas.record.trial import FailureKind, Status, Trial, best_trials, ranking_key

NUM_PARTS = 40
"""Most points of the curve of rewards."""

Change: TypeAlias = Literal["started", "attempt_failed", "ended", "ended_best"]
"""A change of a trial's status; `ended_best` where it ended with the best reward so far."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The status of a search at one moment.

    Attributes:
        num_trials: how many trials the run is to have.
        statuses: how many trials of the whole run have each status.
        failures: how many trials failed in each way.
        num_retried: attempts that failed since this start and were, or will be, run again.
        baselines: names of the baselines that are running.
        longest: number of the trial that has been running for longest; None while none runs.
        longest_s: how long that one has been running.
        best: the best trial so far; None while none has a reward.
        rewards: best reward in each of at most `NUM_PARTS` equal parts of the results, in order; those of the first
            rung, as others do not compare.
        elapsed_s: time since this start.
        per_hour: trials an hour since this start; None before the first has ended.
        left_s: time until the last trial at this speed; None where that is not known.
        num_workers: workers that are up; None before the executor has said.
        num_starting: workers that are not up yet.
        gpus: the GPU of each worker that uses one.
        busy_share: share of the workers' time since this start that went into trials; None before there were any.
    """

    num_trials: int
    statuses: Mapping[Status, int]
    failures: Mapping[FailureKind, int]
    num_retried: int
    baselines: tuple[str, ...]
    longest: int | None
    longest_s: float
    best: Trial | None
    rewards: tuple[float, ...]
    elapsed_s: float
    per_hour: float | None
    left_s: float | None
    num_workers: int | None
    num_starting: int
    gpus: tuple[Gpu, ...]
    busy_share: float | None

    @property
    def num_done(self) -> int:
        """Trials that ended."""
        return sum(self.statuses.values()) - self.num_running

    @property
    def num_running(self) -> int:
        """Trials that a worker is training."""
        return self.statuses.get("running", 0)

    @property
    def num_busy(self) -> int:
        """Workers that train a trial or a baseline."""
        return self.num_running + len(self.baselines)


class Tally:
    """Counts what happens in a search. Times are in seconds, of one clock that never goes back.

    Args:
        record: the run's, as it stands at the start. Trials that are open in it are not running yet.
        num_trials: how many trials the run is to have.
        now_s: when the search starts.
    """

    def __init__(self, record: Record, num_trials: int, now_s: float) -> None:
        self._num_trials = num_trials

        # Counted over the whole run.
        self._statuses: Counter[Status] = Counter()
        self._failures: Counter[FailureKind] = Counter()
        self._rewards: list[float] = []
        for number in record.told:
            self._count(record.trials[number])
        self._best = next(iter(best_trials(record.trials, 1)), None)

        # Counted since this start.
        self._num_retried = 0
        self._num_ended = 0
        self._running: dict[int, float] = {}
        self._baselines: list[str] = []
        self._num_workers: int | None = None
        self._num_starting = 0
        self._gpus: tuple[Gpu, ...] = ()
        self._started_s = self._noted_s = now_s
        self._busy_s = self._worker_s = 0.0

    @property
    def num_done(self) -> int:
        """Trials that ended."""
        return self._statuses.total()

    def take(self, trial: Trial, now_s: float) -> Change:
        """Take in a trial that has started, of which an attempt failed, or that has ended."""
        self._pass_time(now_s)

        if trial.status == "running" and trial.number not in self._running:
            self._running[trial.number] = now_s
            return "started"
        if trial.status == "running":
            del self._running[trial.number]
            self._num_retried += 1
            return "attempt_failed"

        # A trial that was reused or rejected never ran.
        self._running.pop(trial.number, None)
        self._num_ended += 1
        self._count(trial)

        # Without the number, the key's last part: an equal reward is no new best.
        if trial.reward is None or (self._best is not None and ranking_key(trial)[:2] >= ranking_key(self._best)[:2]):
            return "ended"
        self._best = trial
        return "ended_best"

    def take_baseline(self, name: str, now_s: float, *, is_running: bool) -> None:
        """Take in that a baseline runs, or runs no longer."""
        self._pass_time(now_s)
        if is_running:
            self._baselines.append(name)
        else:
            self._baselines.remove(name)

    def note_workers(self, workers: Workers, now_s: float) -> None:
        """Take in which workers there are from now on."""
        self._pass_time(now_s)
        self._num_workers, self._num_starting, self._gpus = workers.num_up, workers.num_starting, workers.gpus

    def standing(self, now_s: float) -> Standing:
        """Return how the search stands."""
        self._pass_time(now_s)

        # Speed is that of this start: another machine may have run the trials before.
        elapsed_s = now_s - self._started_s
        num_left = self._num_trials - self.num_done
        has_speed = self._num_ended > 0 and elapsed_s > 0

        # Running is what this start has begun: trials that are open on record may still wait for a worker.
        longest = min(self._running, key=lambda number: self._running[number], default=None)
        running: dict[Status, int] = {"running": len(self._running)} if self._running else {}

        return Standing(
            num_trials=self._num_trials,
            statuses=dict(self._statuses) | running,
            failures=dict(self._failures),
            num_retried=self._num_retried,
            baselines=tuple(self._baselines),
            longest=longest,
            longest_s=0.0 if longest is None else now_s - self._running[longest],
            best=self._best,
            rewards=_best_of_parts(self._rewards),
            elapsed_s=elapsed_s,
            per_hour=3600 * self._num_ended / elapsed_s if has_speed else None,
            left_s=elapsed_s / self._num_ended * num_left if has_speed and num_left > 0 else None,
            num_workers=self._num_workers,
            num_starting=self._num_starting,
            gpus=self._gpus,
            busy_share=self._busy_s / self._worker_s if self._worker_s else None,
        )

    def _count(self, ended: Trial) -> None:
        self._statuses[ended.status] += 1
        if ended.status == "failed" and ended.failure is not None:
            self._failures[ended.failure.kind] += 1
        if compares(ended):
            self._rewards.append(ended.reward or 0.0)

    def _pass_time(self, now_s: float) -> None:
        """Count the time since the last change, in which nothing changed."""
        # A first trial may start just before its worker is counted: no more can be busy than are up.
        num_workers = self._num_workers or 0
        self._busy_s += (now_s - self._noted_s) * min(len(self._running) + len(self._baselines), num_workers)
        self._worker_s += (now_s - self._noted_s) * num_workers
        self._noted_s = now_s


def _best_of_parts(rewards: list[float]) -> tuple[float, ...]:
    num_parts = min(len(rewards), NUM_PARTS)
    edges = [len(rewards) * part // max(num_parts, 1) for part in range(num_parts + 1)]
    return tuple(max(rewards[start:end]) for start, end in pairwise(edges))
