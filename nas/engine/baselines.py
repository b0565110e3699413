"""Baselines beside a search: networks that no controller proposes, trained first and on the same workers."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.engine.job import AnyJob, BaselineJob, Outcome
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import Reward
from nas.engine.told import told_of
from nas.record.baselines import Baseline, read_baselines, write_baseline
from nas.record.events import Told
from nas.record.trial import Failure
from proxy_tasks import Numerics


class BaselinesFirst:
    """The source of a run that has baselines: their jobs first, then those of its search.

    To an executor a baseline is one more trial, with a number below 0. The search does not hear of it, except that it
    stops where a baseline fails in a way that the plan stops at. What has ended is on disk before the next job is
    given out. What succeeded is never trained again; what failed is tried again by the next start.

    Args:
        search: the search of the run.
        names: names of the baselines.
        folder: the run folder, which this process alone writes to.
        reward: metrics to reward, as of trials.
        plan: how each is trained, and how failures are handled; all are trained as the first rung is.
        on_change: called with each baseline and whether it has just started: as it starts, as an attempt at it fails,
            and as it ends.

    Raises:
        InputError: what is on record of a baseline is damaged.
    """

    def __init__(
        self,
        search: Search,
        names: Sequence[str],
        folder: Path,
        reward: Reward,
        plan: Plan,
        on_change: Callable[[Baseline, bool], None] = lambda baseline, has_started: None,
    ) -> None:
        self._search = search
        self._folder = folder
        self._reward = reward
        self._plan = plan
        self._on_change = on_change

        open_ones = open_baselines(folder, names)
        self._running = {-number: baseline for number, baseline in enumerate(open_ones, start=1)}
        self._queue = deque(self._running)

    def start_trial(self, numerics: Numerics | None = None) -> AnyJob | None:
        """Return the next job for a worker of this arithmetic, or None when there is none to start now.

        Raises:
            InputError: the journal cannot be written.
        """
        if not self._queue or self._search.why_stopped is not None:
            return self._search.start_trial(numerics)

        number = self._queue.popleft()
        baseline = self._running[number]
        self._search.note_numerics(numerics)
        self._on_change(baseline, True)
        return BaselineJob(number, baseline.name, self._plan.fidelity, self._plan.seed)

    def finish_trial(self, outcome: Outcome) -> None:
        """Record the outcome of a job; that of a trial goes to the search.

        Raises:
            InputError: the journal, or the file of a baseline, cannot be written.
        """
        if outcome.trial not in self._running:
            self._search.finish_trial(outcome)
            return

        self._search.note_numerics(outcome.numerics)
        told = told_of(outcome, self._reward)
        baseline = self._running[outcome.trial]
        action = "fail" if told.failure is None else self._plan.failures.action(told.failure, baseline.attempts)
        if told.failure is None or action == "fail":
            del self._running[outcome.trial]
            self._put_on_record(_ended(baseline, told))
            return

        baseline = baseline.model_copy(update={"attempts": (*baseline.attempts, told.failure)})
        self._running[outcome.trial] = baseline
        self._put_on_record(baseline)
        if action == "retry":
            self._queue.appendleft(outcome.trial)
        else:
            self._search.stop(_why(baseline.name, told.failure))

    def _put_on_record(self, baseline: Baseline) -> None:
        write_baseline(self._folder, baseline)
        self._on_change(baseline, False)


def open_baselines(folder: Path, names: Sequence[str]) -> list[Baseline]:
    """Return those of the baselines that have no result in a run yet, with the attempts on record of each.

    One that failed in an earlier start is among them, as a replay's failed trials are: no controller was told of it.

    Raises:
        InputError: what is on record is damaged.
    """
    recorded = {baseline.name: baseline for baseline in read_baselines(folder)}
    baselines = [recorded.get(name, Baseline(name=name)) for name in names]
    return [_open(baseline) for baseline in baselines if baseline.status != "completed"]


def _open(baseline: Baseline) -> Baseline:
    """Return a baseline to be trained; a failure that ended it counts among its attempts."""
    if baseline.failure is None:
        return baseline
    return Baseline(name=baseline.name, attempts=(*baseline.attempts, baseline.failure))


def _ended(baseline: Baseline, told: Told) -> Baseline:
    return Baseline(
        name=baseline.name,
        status="completed" if told.failure is None else "failed",
        reward=told.reward,
        metrics=told.metrics,
        seconds=told.seconds,
        loss_curve=told.loss_curve,
        failure=told.failure,
        remarks=told.remarks or (),
        numerics=told.numerics,
        attempts=baseline.attempts,
    )


def _why(name: str, failure: Failure) -> str:
    return f"baseline {name} failed ({failure.kind}): {failure.message}"
