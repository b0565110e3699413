"""The search: ask, decode, run, record, tell; without knowing who runs the jobs."""

import math
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from controllers import Controller, Proposal, SuccessiveHalving
from foundation import InputError
from nas.engine.failures import FailurePolicy, FailureWatch
from nas.engine.job import Job, Outcome
from nas.engine.limits import Limits
from nas.engine.promotion import Promotion
from nas.engine.reward import Reward, objectives_of
from nas.record.journal import Asked, AttemptFailed, Journal, Told
from nas.record.trial import Failure, Trial
from proxy_tasks import Fidelity
from search_space import ArchSpec, SearchSpace

MAX_FIRST_REJECTED = 200
"""So many proposals over a limit and no other at the start of a run end it."""
MAX_WAITING = 100
"""So many trials wait for another one of the same architecture; a controller that proposes more of them repeats itself,
and must not use up all trials before it is told anything."""


_NO_LIMITS = Limits()
_NO_PROMOTION = Promotion()
_DEFAULT_POLICY = FailurePolicy()


class Search:
    """One run, driven by an executor that calls `start_trial` and `finish_trial` in any order.

    Opening a journal with events in it resumes: the controller is told everything on record, and trials that were
    running when the process ended come first, with the proposals they had.

    Args:
        space: decodes proposals.
        controller: fresh, told nothing so far.
        reward: metrics to reward.
        journal: of this run; what it begins with is proposed before the controller is asked.
        fidelity: of every trial; of the first rung where there are promotions.
        num_trials: proposals in all, those on record and promotions included.
        seed: of the proposals, and of every evaluation: equal specs then give equal metrics, so that a known key
            needs no training.
        limits: what costs more is never trained.
        costs: what a spec costs, under the names in `limits`; called only where there is a limit.
        promotion: of the best to more training.
        failures: what becomes of failed trials.
        on_change: called with each trial as it starts, as an attempt at it fails, and as it ends.
        on_stop: called once with the reason when the search stops before its last trial. Running ones are awaited.

    Raises:
        InputError: the journal has promotions that this search cannot have made.
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
        promotion: Promotion = _NO_PROMOTION,
        failures: FailurePolicy = _DEFAULT_POLICY,
        on_change: Callable[[Trial], None] = lambda trial: None,
        on_stop: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._space = space
        self._controller = SuccessiveHalving(controller, promotion.num_rungs, promotion.reduction)
        self._reward = reward
        self._journal = journal
        self._fidelity = fidelity
        self._num_trials = num_trials
        self._seed = seed
        self._limits = limits
        self._costs = costs
        self._promotion = promotion
        self._policy = failures
        self._watch = FailureWatch(failures)
        self._on_change = on_change
        self._on_stop = on_stop
        self._why_stopped: str | None = None
        trials = journal.record.trials
        if any(trial.rung >= promotion.num_rungs for trial in trials.values()):
            raise InputError(f"the journal in {journal.folder} has promotions beyond {promotion.num_rungs} rungs")
        self._trained: dict[tuple[str, int], int] = {}
        self._in_training: set[tuple[str, int]] = set()
        self._waiting: list[int] = []
        self._open = {t.number: t.proposal for t in trials.values() if t.status == "running"}
        self._to_run_again = deque(self._open)
        for number in journal.record.told:
            self._learn(trials[number])

    @property
    def why_stopped(self) -> str | None:
        """Why the search stopped before its last trial; None where it did not."""
        return self._why_stopped

    def start_trial(self) -> Job | None:
        """Return the next job, or None when there is none to start now.

        The proposal is on disk when this returns. A spec that was trained before, or that is over a limit, is told at
        once and the next one is taken; one that is being trained waits for that result. While a job is running, None is
        not final: it may have to be run again.

        Raises:
            InputError: the journal cannot be written.
        """
        while (number := self._next_number()) is not None:
            trial = self._journal.record.trials[number]
            if (told := self._told_without_training(trial)) is None:
                if (trial.key, trial.rung) in self._in_training and len(self._waiting) < MAX_WAITING:
                    self._waiting.append(number)
                    continue
                self._in_training.add((trial.key, trial.rung))
                self._on_change(trial)
                fidelity = self._promotion.fidelity(self._fidelity, trial.rung)
                weights = self._promotion.weights(self._journal.folder, trial.key, trial.rung)
                return Job(number, trial.spec, fidelity, self._seed, weights)
            self._end(told)
            if told.status == "rejected":
                self._stop_if_nothing_fits()
        return None

    def finish_trial(self, outcome: Outcome) -> None:
        """Record what came back, then tell the controller, unless the trial is to be run again.

        A reward that is not finite makes the trial a failed one; metrics that are finite are kept.

        Raises:
            InputError: the journal cannot be written.
        """
        number, result = outcome.trial, outcome.result
        if isinstance(result, Failure):
            self._fail(Told(trial=number, status="failed", failure=result), result)
            return
        reward = self._reward(result.metrics)
        looked_at = (reward, *objectives_of(self._reward, result.metrics))
        metrics = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        curve = result.loss_curve if all(math.isfinite(value) for value in result.loss_curve) else ()
        told = Told(trial=number, status="completed", metrics=metrics, seconds=dict(result.seconds), loss_curve=curve)
        if all(math.isfinite(value) for value in looked_at):
            self._end(told.model_copy(update={"reward": reward}))
        else:
            failure = Failure("nan", f"the reward is {reward}" if not math.isfinite(reward) else "a cost is not finite")
            self._fail(told.model_copy(update={"status": "failed", "failure": failure}), failure)

    def _fail(self, told: Told, failure: Failure) -> None:
        """End a failed trial, or leave it open, as the policy has it for this kind of failure."""
        trial = self._journal.record.trials[told.trial]
        action = self._policy.action(failure, trial.attempts)
        if action == "fail":
            self._end(told)
            return
        self._in_training.discard((trial.key, trial.rung))
        self._journal.append(AttemptFailed(trial=told.trial, failure=failure))
        self._on_change(self._journal.record.trials[told.trial])
        if action == "retry":
            self._to_run_again.appendleft(told.trial)
        else:
            self._stop(f"trial {told.trial} failed ({failure.kind}): {failure.message}")

    def _stop(self, why: str) -> None:
        """Start no more trials."""
        if self._why_stopped is None:
            self._why_stopped = why
            self._on_stop(why)

    def _told_without_training(self, trial: Trial) -> Told | None:
        """Return what is known of a proposal at once: what came of it before, or that it costs too much."""
        if (earlier := self._trained.get((trial.key, trial.rung))) is not None:
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
        self._stop(f"all of the first {len(trials)} proposals are over a limit; in another run, raise {text}")

    def _next_number(self) -> int | None:
        """Return the number of the next trial to run, asked and on record."""
        if self._why_stopped is not None:
            return None
        if self._to_run_again:
            return self._to_run_again.popleft()
        number = len(self._journal.record.trials)
        if number >= self._num_trials:
            return None
        begin_with = self._journal.record.created.begin_with
        if number < len(begin_with):
            proposal = Proposal(begin_with[number])
        else:
            proposal = self._controller.ask(np.random.default_rng([self._seed, number]), self._open.values())
        spec = self._space.decode(proposal.decisions)
        self._journal.append(
            Asked(
                trial=number,
                decisions=proposal.decisions,
                log_prob=proposal.log_prob,
                rung=proposal.rung,
                key=spec.key,
                spec=spec,
            )
        )
        self._open[number] = proposal
        return number

    def _end(self, event: Told) -> None:
        self._journal.append(event)
        del self._open[event.trial]
        trial = self._journal.record.trials[event.trial]
        self._learn(trial)
        self._on_change(trial)
        if trial.status in ("completed", "failed"):
            self._in_training.discard((trial.key, trial.rung))
            self._release(trial)
            self._watch.note(trial)
            if (why := self._watch.why_stop()) is not None:
                self._stop(why)

    def _release(self, ended: Trial) -> None:
        """Let go of the trials that waited for one of the same architecture; if it failed, the first of them is run."""
        trials = self._journal.record.trials
        waited = [n for n in self._waiting if (trials[n].key, trials[n].rung) == (ended.key, ended.rung)]
        self._waiting = [number for number in self._waiting if number not in waited]
        self._to_run_again.extendleft(reversed(waited))

    def _learn(self, trial: Trial) -> None:
        if trial.status == "completed":
            self._trained.setdefault((trial.key, trial.rung), trial.number)
        objectives = () if trial.reward is None else objectives_of(self._reward, trial.metrics)
        self._controller.tell(trial.proposal, trial.reward, objectives)
