"""The search: ask, decode, run, record, tell; without knowing who runs the jobs."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from controllers import Controller, Proposal
from nas.journal import Asked, Journal, Told
from nas.limits import Limits
from nas.reward import Reward, objectives_of
from nas.trial import Failure, Trial
from proxy_tasks import Evaluation, Fidelity
from search_space import ArchSpec, InputError, SearchSpace

MAX_FIRST_ERRORS = 10
"""So many errors and nothing else at the start of a run end it."""
MAX_FIRST_REJECTED = 200
"""So many proposals over a limit and no other at the start of a run end it."""


_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent out to be evaluated."""

    trial: int
    spec: ArchSpec
    fidelity: Fidelity
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes back: an evaluation, or why there is none."""

    trial: int
    result: Evaluation | Failure


class Search:
    """One run, driven by an executor that calls `start_trial` and `finish_trial` in any order.

    Opening a journal with events in it resumes: the controller is told everything on record, and trials that were
    running when the process ended come first, with the proposals they had.

    Args:
        space: decodes proposals.
        controller: fresh, told nothing so far.
        reward: metrics to reward.
        journal: of this run; what it begins with is proposed before the controller is asked.
        fidelity: of every trial.
        num_trials: proposals in all, those on record included.
        seed: of the proposals, and of every evaluation: equal specs then give equal metrics, so that a known key
            needs no training.
        limits: what costs more is never trained.
        costs: what a spec costs, under the names in `limits`; called only where there is a limit.
        on_change: called with each trial as it starts and as it ends.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        controller: Controller,
        reward: Reward,
        journal: Journal,
        fidelity: Fidelity,
        num_trials: int,
        seed: int,
        limits: Limits = _NO_LIMITS,
        costs: Callable[[ArchSpec], Mapping[str, float]] = lambda spec: {},
        on_change: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        self._space = space
        self._controller = controller
        self._reward = reward
        self._journal = journal
        self._fidelity = fidelity
        self._num_trials = num_trials
        self._seed = seed
        self._limits = limits
        self._costs = costs
        self._on_change = on_change
        trials = journal.record.trials
        self._trained: dict[str, int] = {}
        self._interrupted = deque(t.number for t in trials.values() if t.status == "running")
        for number in journal.record.told:
            self._learn(trials[number])

    def start_trial(self) -> Job | None:
        """Return the next job, or None when there is none left to start.

        The proposal is on disk when this returns. A spec that was trained before, or that is over a limit, is told at
        once and the next one is taken.

        Raises:
            InputError: nothing but specs over a limit so far, see `MAX_FIRST_REJECTED`, or the journal cannot be
                written.
        """
        while (number := self._next_number()) is not None:
            trial = self._journal.record.trials[number]
            if (told := self._told_without_training(trial)) is None:
                self._on_change(trial)
                return Job(number, trial.spec, self._fidelity, self._seed)
            self._end(told)
            if told.status == "rejected":
                self._stop_if_nothing_fits()
        return None

    def finish_trial(self, outcome: Outcome) -> None:
        """Record what came back, then tell the controller.

        A reward that is not finite makes the trial a failed one; metrics that are finite are kept.

        Raises:
            InputError: nothing but errors so far, see `MAX_FIRST_ERRORS`, or the journal cannot be written.
        """
        number, result = outcome.trial, outcome.result
        if isinstance(result, Failure):
            self._end(Told(trial=number, status="failed", failure=result))
            self._stop_if_nothing_works(result)
            return
        reward = self._reward(result.metrics)
        looked_at = (reward, *objectives_of(self._reward, result.metrics))
        metrics = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        seconds = dict(result.seconds)
        if all(math.isfinite(value) for value in looked_at):
            self._end(Told(trial=number, status="completed", reward=reward, metrics=metrics, seconds=seconds))
        else:
            failure = Failure("nan", f"the reward is {reward}" if not math.isfinite(reward) else "a cost is not finite")
            self._end(Told(trial=number, status="failed", metrics=metrics, seconds=seconds, failure=failure))

    def _told_without_training(self, trial: Trial) -> Told | None:
        """Return what is known of a proposal at once: what came of it before, or that it costs too much."""
        if (earlier := self._trained.get(trial.key)) is not None:
            known = self._journal.record.trials[earlier]
            metrics = dict(known.metrics)
            return Told(trial=trial.number, status="reused", reward=known.reward, metrics=metrics, reused_from=earlier)
        if self._limits.names:
            costs = self._costs(trial.spec)
            if (why := self._limits.violation(costs)) is not None:
                failure = Failure("over_limit", why)
                return Told(trial=trial.number, status="rejected", metrics=dict(costs), failure=failure)
        return None

    def _stop_if_nothing_fits(self) -> None:
        """Stop a search of which every proposal so far was over a limit: the space holds hardly any other."""
        trials = self._journal.record.trials.values()
        if len(trials) < MAX_FIRST_REJECTED or any(trial.status != "rejected" for trial in trials):
            return
        lowest = {name: min(trial.metrics[name] for trial in trials) for name in self._limits.names}
        text = ", ".join(f"limits.{name} (lowest so far {value:,.0f})" for name, value in lowest.items())
        raise InputError(f"all of the first {len(trials)} proposals are over a limit; in another run, raise {text}")

    def _stop_if_nothing_works(self, last: Failure) -> None:
        """Stop a search of which every trial so far ended in an error: the cause is not in the architectures."""
        if self._trained:
            return
        told = (self._journal.record.trials[number] for number in self._journal.record.told)
        results = [trial for trial in told if trial.status != "rejected"]
        kinds = {trial.failure.kind for trial in results if trial.failure is not None}
        if len(results) >= MAX_FIRST_ERRORS and kinds == {"error"}:
            raise InputError(f"all of the first {len(results)} trials failed, the last with {last.message}")

    def _next_number(self) -> int | None:
        """Return the number of the next trial to run, asked and on record."""
        if self._interrupted:
            return self._interrupted.popleft()
        number = len(self._journal.record.trials)
        if number >= self._num_trials:
            return None
        begin_with = self._journal.record.created.begin_with
        if number < len(begin_with):
            proposal = Proposal(begin_with[number])
        else:
            proposal = self._controller.ask(np.random.default_rng([self._seed, number]))
        spec = self._space.decode(proposal.decisions)
        self._journal.append(
            Asked(
                trial=number,
                decisions=proposal.decisions,
                log_prob=proposal.log_prob,
                key=spec.key,
                spec=spec,
            )
        )
        return number

    def _end(self, event: Told) -> None:
        self._journal.append(event)
        trial = self._journal.record.trials[event.trial]
        self._learn(trial)
        self._on_change(trial)

    def _learn(self, trial: Trial) -> None:
        if trial.status == "completed":
            self._trained.setdefault(trial.key, trial.number)
        objectives = () if trial.reward is None else objectives_of(self._reward, trial.metrics)
        self._controller.tell(trial.proposal, trial.reward, objectives)
