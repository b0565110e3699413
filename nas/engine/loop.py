"""The search loop: ask, decode, run, record, tell; without knowing who runs the jobs."""

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from controllers.base import Controller, NothingLeftError, Proposal
from foundation import InputError, short_path
from nas.engine.failures import FailureWatch
from nas.engine.job import Job, Outcome
from nas.engine.kept_weights import keep_within
from nas.engine.known import KnownArchitectures
from nas.engine.limits import cost_text
from nas.engine.plan import Plan
from nas.engine.reward import Reward, objectives_of
from nas.engine.successive_halving import SuccessiveHalving
from nas.engine.told import finite_figures, told_of
from nas.record.events import Asked, AttemptFailed, Told
from nas.record.journal import Journal
from nas.record.stopping import LossHistory
from nas.record.trial import Failure, Trial
from nas.record.waiting_list import FOLDER, Waiting, first_waiting, remove_from_waiting_list
from proxy_tasks import BadSpecError, Numerics
from search_space import Candidate, SearchSpace
from search_space.kinds import added_kinds

MAX_FIRST_REJECTED = 200
"""Proposals at the start of a run after which it stops if every one of them was over a limit."""


class Search:
    """One run, driven by an executor that calls `start_trial` and `finish_trial` in any order.

    Opening a journal with events in it resumes: the controller is told everything on record, and trials that were
    running when the process ended come first, with the proposals they had.

    Args:
        space: decodes proposals.
        controller: a fresh one, told nothing so far; it hears of the first rung alone, as rewards of different amounts
            of training do not compare.
        reward: metrics to reward.
        journal: journal of this run; what it begins with is proposed before the controller is asked.
        plan: how many trials, and how each is handled.
        costs: what a candidate costs, under the names that `plan.limits` has; called only where there is a limit.
        on_change: called with each trial as it starts, as an attempt at it fails, and as it ends.
        on_stop: called once with the reason when the search stops before its last trial. Running ones are awaited.
        on_numerics: called once with each arithmetic that trials are computed in.

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
        plan: Plan,
        costs: Callable[[Candidate], Mapping[str, float]] = lambda candidate: {},
        on_change: Callable[[Trial], None] = lambda trial: None,
        on_stop: Callable[[str], None] = lambda why: None,
        on_numerics: Callable[[Numerics], None] = lambda numerics: None,
    ) -> None:
        trials = journal.record.trials
        num_rungs = plan.promotion.num_rungs
        if any(trial.rung >= num_rungs for trial in trials.values()):
            raise InputError(f"the journal in {journal.folder} has promotions beyond {num_rungs} rungs")

        self._space = space
        self._controller = controller
        self._reward = reward
        self._journal = journal
        self._plan = plan
        self._costs = costs
        self._on_change = on_change
        self._on_stop = on_stop
        self._on_numerics = on_numerics
        self._numerics: set[Numerics] = set()
        self._why_stopped: str | None = None
        self._is_over = False
        self._halving = SuccessiveHalving(num_rungs, plan.promotion.reduction)
        self._losses = LossHistory(plan.stopping)
        self._known = KnownArchitectures()
        self._watch = FailureWatch(plan.failures)

        # Asked and not told. The queue holds those to start before anything new is proposed.
        self._running = {trial.number: trial.proposal for trial in trials.values() if trial.status == "running"}
        self._queue = deque(self._running)

        # In the order in which results came: a fresh controller then knows what the one before it knew.
        for number in journal.record.told:
            self._learn(trials[number])
            self._known.end(trials[number])

    @property
    def why_stopped(self) -> str | None:
        """Why the search stopped before its last trial; None where it did not."""
        return self._why_stopped

    def start_trial(self, numerics: Numerics | None = None) -> Job | None:
        """Return the next job for a worker of this arithmetic, or None when there is none to start now.

        The proposal is on disk when this returns. A spec that was trained before in this arithmetic, or that is over a
        limit, is told at once and the next one is taken; one that is being trained waits for that result. While a job
        is running, None is not final: it may have to be run again.

        Raises:
            InputError: the journal cannot be written.
        """
        while (trial := self._next_trial()) is not None:
            told = self._told_without_training(trial, numerics)
            if told is not None:
                self._end(told)
            elif self._known.begin(trial):
                self.note_numerics(numerics)
                self._on_change(trial)
                return self._job(trial)
        return None

    def take_up(self, number: int) -> bool:
        """Note that a trial on record as running is run by somebody already, so that it is not given out again.

        Returns:
            Whether its outcome can be handed in: False where it has ended, or was given out in this start.
        """
        if number not in self._queue:
            return False
        self._queue.remove(number)
        self._known.begin(self._journal.record.trials[number])
        return True

    def finish_trial(self, outcome: Outcome) -> None:
        """Record the outcome of a job, then tell the controller, unless the trial is to be run again.

        A reward that is not finite makes the trial a failed one; metrics that are finite are kept.

        Raises:
            InputError: the journal cannot be written.
        """
        self.note_numerics(outcome.numerics)
        told = told_of(outcome, self._reward)
        if told.failure is None:
            self._end(told)
        else:
            self._fail(told, told.failure)

    def note_numerics(self, numerics: Numerics | None) -> None:
        """Report an arithmetic in which nothing was computed since this start."""
        if numerics is not None and numerics not in self._numerics:
            self._numerics.add(numerics)
            self._on_numerics(numerics)

    def stop(self, why: str) -> None:
        """Start no more trials."""
        if self._why_stopped is None:
            self._why_stopped = why
            self._on_stop(why)

    def _note_the_end(self, why: str) -> None:
        """Report that the search ends before its last trial although nothing went wrong."""
        if not self._is_over:
            self._is_over = True
            self._on_stop(why)

    def _next_trial(self) -> Trial | None:
        """Return the next trial to run, asked and on record."""
        trials = self._journal.record.trials
        if self._why_stopped is not None:
            return None
        if self._queue:
            return trials[self._queue.popleft()]
        if len(trials) >= self._plan.num_trials:
            return None

        # On disk before anything runs: a kill at any moment then loses no proposal.
        number = len(trials)
        try:
            waiting = self._first_waiting(number)
        except InputError as error:
            # Not raised: what is being trained is worth more than the file.
            self.stop(str(error))
            return None
        try:
            proposal = self._propose(number) if waiting is None else Proposal(waiting.decisions)
        except NothingLeftError as error:
            # Not for good while trials run: one of them may be promoted.
            if not self._running:
                self._note_the_end(str(error))
            return None
        candidate = self._space.decode(proposal.decisions)

        # The limits too, so that a trial which is run again ends where it would have ended. What was promoted is among
        # the best, and what people put in they want to know the reward of: both are trained to their end.
        is_given = waiting is not None or number < len(self._journal.record.created.begin_with)
        limits = () if proposal.rung or is_given else self._losses.limits()
        self._journal.append(
            Asked(
                trial=number,
                decisions=proposal.decisions,
                log_prob=proposal.log_prob,
                rung=proposal.rung,
                key=candidate.key,
                spec=candidate.spec,
                scale=candidate.scale,
                queued=None if waiting is None else waiting.name,
                loss_limits=limits or None,
            )
        )
        if waiting is not None:
            remove_from_waiting_list(self._journal.folder, waiting.name)
        self._running[number] = proposal
        return trials[number]

    def _first_waiting(self, number: int) -> Waiting | None:
        """Return what waits to be trained, once the run has trained what it begins with.

        Raises:
            InputError: its file cannot be used, or it is not of this space.
        """
        record, folder = self._journal.record, self._journal.folder
        if number < len(record.created.begin_with):
            return None
        waiting = first_waiting(folder, record.queued)
        if waiting is not None:
            try:
                self._space.decode(waiting.decisions)
            except ValueError as error:
                raise InputError(f"{short_path(folder / FOLDER / waiting.name)}: {error}; delete it") from None
        return waiting

    def _propose(self, number: int) -> Proposal:
        """Return the next proposal: first those that the run begins with, then promotions, then the controller's.

        Raises:
            NothingLeftError: there is none, and may be none again.
        """
        begin_with = self._journal.record.created.begin_with
        if number < len(begin_with):
            return Proposal(begin_with[number])
        promoted = self._halving.promotion(self._running.values())
        if promoted is not None:
            return promoted

        # Seeded by the trial's number: a resumed run draws what the uninterrupted one would have drawn.
        running = [proposal.decisions for proposal in self._running.values() if proposal.rung == 0]
        return self._controller.ask(np.random.default_rng([self._plan.seed, number]), running)

    def _told_without_training(self, trial: Trial, numerics: Numerics | None) -> Told | None:
        """Return the result of a trial that need not run, as it was trained before or costs too much; else None."""
        earlier = self._known.trained_by(trial, numerics)
        if earlier is not None:
            known = self._journal.record.trials[earlier]
            return Told(
                trial=trial.number,
                status="reused",
                reward=known.reward,
                metrics=dict(known.metrics),
                reused_from=earlier,
                numerics=numerics,
            )

        # Costs take time to find out, so they are asked for only where a limit looks at them.
        if not self._plan.limits.names:
            return None
        try:
            costs = self._costs(trial.candidate)
        except BadSpecError as error:
            return Told(trial=trial.number, status="failed", failure=Failure("bad_spec", str(error)))
        violation = self._plan.limits.violation(costs)
        if violation is None:
            return None
        failure = Failure("over_limit", violation)
        return Told(trial=trial.number, status="rejected", metrics=finite_figures(costs), failure=failure)

    def _job(self, trial: Trial) -> Job:
        promotion = self._plan.promotion
        fidelity = promotion.fidelity(self._plan.fidelity, trial.rung)
        weights = promotion.weights(self._journal.folder, trial.key, trial.rung)
        return Job(
            trial.number,
            trial.candidate,
            fidelity,
            self._plan.seed,
            weights,
            added_kinds(),
            loss_limits=trial.loss_limits,
        )

    def _fail(self, told: Told, failure: Failure) -> None:
        """End a failed trial, or leave it open, as the policy says for this kind of failure."""
        trial = self._journal.record.trials[told.trial]
        action = self._plan.failures.action(failure, trial.attempts)
        if action == "fail":
            self._end(told)
            return

        # The controller hears nothing of an attempt: the trial is still to end, now or after the next start.
        self._known.interrupt(trial)
        self._journal.append(AttemptFailed(trial=told.trial, failure=failure))
        self._on_change(self._journal.record.trials[told.trial])

        # Before anything new is proposed: other trials may be waiting for this architecture.
        if action == "retry":
            self._queue.appendleft(told.trial)
        else:
            self.stop(f"trial {told.trial} failed ({failure.kind}): {failure.message}")

    def _end(self, told: Told) -> None:
        """Put the end of a trial on record, learn from it, and take up the trials that waited for it."""
        # On disk before the controller learns: a resume then tells a fresh one the same in the same order.
        self._journal.append(told)
        del self._running[told.trial]
        trial = self._journal.record.trials[told.trial]
        self._learn(trial)
        self._on_change(trial)

        # If the trial failed, the first of those that waited is trained in its place.
        self._queue.extendleft(reversed(self._known.end(trial)))

        if trial.status == "rejected":
            self._stop_if_nothing_fits()
        elif trial.status in ("completed", "stopped", "failed"):
            self._keep_weights_within()
            self._watch.note(trial)
            too_many_failed = self._watch.why_stop()
            if too_many_failed is not None:
                self.stop(too_many_failed)

    def _keep_weights_within(self) -> None:
        """Keep networks within their bound after a training; what takes an earlier result adds none."""
        promotion = self._plan.promotion
        if promotion.keeps and promotion.max_weights_gb is not None:
            keep_within(self._journal.folder, promotion.max_weights_gb, self._journal.record.trials.values())

    def _learn(self, trial: Trial) -> None:
        """Tell the controller, and the rungs above, of a trial that ended; one that was stopped has no reward."""
        if trial.rung == 0:
            objectives = () if trial.reward is None else objectives_of(self._reward, trial.metrics)
            self._controller.tell(trial.proposal, trial.reward, objectives)
        self._halving.note(trial.proposal, trial.reward)
        self._losses.note(trial)

    def _stop_if_nothing_fits(self) -> None:
        """Stop a search if every proposal so far was over a limit: the space holds hardly any other."""
        trials = self._journal.record.trials.values()
        if len(trials) < MAX_FIRST_REJECTED or any(trial.status != "rejected" for trial in trials):
            return

        options = []
        for name in self._plan.limits.names:
            lowest = min(trial.metrics[name] for trial in trials)
            options.append(f"limits.{name} (lowest so far {cost_text(lowest)})")
        self.stop(
            f"all of the first {len(trials)} proposals are over a limit; in another run, raise {', '.join(options)}"
        )
