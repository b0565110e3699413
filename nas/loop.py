"""The search: ask, decode, run, record, tell; without knowing who runs the jobs."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controllers import Controller
from nas.journal import Asked, Journal, Told
from nas.reward import Reward
from nas.trial import Failure, Trial
from proxy_tasks import Evaluation, Fidelity
from search_space import ArchSpec, InputError, SearchSpace

MAX_FIRST_ERRORS = 10
"""So many errors and nothing else at the start of a run end it."""


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
        journal: of this run.
        fidelity: of every trial.
        num_trials: proposals in all, those on record included.
        seed: of the proposals, and of every evaluation: equal specs then give equal metrics, so that a known key
            needs no training.
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
        on_change: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        self._space = space
        self._controller = controller
        self._reward = reward
        self._journal = journal
        self._fidelity = fidelity
        self._num_trials = num_trials
        self._seed = seed
        self._on_change = on_change
        trials = journal.record.trials
        self._trained: dict[str, int] = {}
        self._interrupted = deque(t.number for t in trials.values() if t.status == "running")
        for number in journal.record.told:
            self._learn(trials[number])

    def start_trial(self) -> Job | None:
        """Return the next job, or None when there is none left to start.

        The proposal is on disk when this returns. A spec that was trained before is told at once and the next one is
        taken.
        """
        while (number := self._next_number()) is not None:
            trial = self._journal.record.trials[number]
            if (earlier := self._trained.get(trial.key)) is None:
                self._on_change(trial)
                return Job(number, trial.spec, self._fidelity, self._seed)
            known = self._journal.record.trials[earlier]
            self._end(
                Told(
                    trial=number,
                    status="reused",
                    reward=known.reward,
                    metrics=dict(known.metrics),
                    reused_from=earlier,
                )
            )
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
        metrics = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        seconds = dict(result.seconds)
        if math.isfinite(reward):
            self._end(Told(trial=number, status="completed", reward=reward, metrics=metrics, seconds=seconds))
        else:
            failure = Failure("nan", f"the reward is {reward}")
            self._end(Told(trial=number, status="failed", metrics=metrics, seconds=seconds, failure=failure))

    def _stop_if_nothing_works(self, last: Failure) -> None:
        """Stop a search of which every trial so far ended in an error: the cause is not in the architectures."""
        if len(self._journal.record.told) < MAX_FIRST_ERRORS or self._trained:
            return
        results = [self._journal.record.trials[number] for number in self._journal.record.told]
        if all(trial.failure is not None and trial.failure.kind == "error" for trial in results):
            raise InputError(f"all of the first {len(results)} trials failed, the last with {last.message}")

    def _next_number(self) -> int | None:
        """Return the number of the next trial to run, asked and on record."""
        if self._interrupted:
            return self._interrupted.popleft()
        number = len(self._journal.record.trials)
        if number >= self._num_trials:
            return None
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
        self._controller.tell(trial.proposal, trial.reward)
