"""The record of a run: its trials, as the events of its journal add up to them."""

from dataclasses import replace

from controllers.base import Proposal
from nas.record.events import Asked, AttemptFailed, Created, Event, Told
from nas.record.trial import Trial


class Record:
    """The content of a journal: the run, its trials, and the order in which results came.

    Attributes:
        created: the first line.
        trials: the trials by number.
        told: numbers of the trials that ended, in the order in which their results came.
        told_at: time of each of these results, in seconds since 1970.
        asked_after: number of results that were on record when each trial was proposed, by the trial's number.
        queued: names on the run's waiting list that trials were made of, with the trials' numbers.
    """

    def __init__(self, created: Created) -> None:
        self.created = created
        self.trials: dict[int, Trial] = {}
        self.told: list[int] = []
        self.told_at: list[float] = []
        self.asked_after: list[int] = []
        self.queued: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Take in one more event.

        Raises:
            ValueError: a number asked twice or out of order, a result for a trial that is not running.
        """
        if isinstance(event, Asked):
            self._begin(event)
            return

        trial = self.trials.get(event.trial)
        if trial is None or trial.status != "running":
            raise ValueError(f"a result for trial {event.trial}, which is not running")
        if isinstance(event, AttemptFailed):
            self.trials[event.trial] = replace(trial, attempts=(*trial.attempts, event.failure))
        else:
            self._end(trial, event)

    def is_given(self, number: int) -> bool:
        """Return whether people put a trial in: the run began with it, or it was on the waiting list."""
        return number < len(self.created.begin_with) or number in self.queued.values()

    def _begin(self, event: Asked) -> None:
        if event.trial != len(self.trials):
            raise ValueError(f"trial {len(self.trials)} should be asked next, not {event.trial}")
        proposal = Proposal(event.decisions, event.log_prob, event.rung)
        limits = event.loss_limits or ()
        self.trials[event.trial] = Trial(
            event.trial, proposal, event.spec, event.key, scale=event.scale, loss_limits=limits
        )
        self.asked_after.append(len(self.told))
        if event.queued is not None:
            self.queued[event.queued] = event.trial

    def _end(self, trial: Trial, event: Told) -> None:
        if (event.reward is None) != self._has_no_reward(event):
            raise ValueError(f"trial {event.trial} is {event.status} with reward {event.reward}")
        if (event.status == "stopped") != (event.stopped_at is not None):
            raise ValueError(f"trial {event.trial} is {event.status} and was stopped at {event.stopped_at}")

        self.trials[event.trial] = replace(
            trial,
            status=event.status,
            reward=event.reward,
            metrics=event.metrics,
            seconds=event.seconds,
            loss_curve=event.loss_curve,
            failure=event.failure,
            reused_from=event.reused_from,
            remarks=event.remarks or (),
            numerics=event.numerics,
            stopped_at=event.stopped_at,
        )

        # The order matters: a resumed run tells its controller in it.
        self.told.append(event.trial)
        self.told_at.append(event.time)

    def _has_no_reward(self, event: Told) -> bool:
        """Return whether a result of this status has no reward; one that was reused has none where the first had."""
        if event.status != "reused":
            return event.status in ("stopped", "failed", "rejected")
        first = self.trials.get(-1 if event.reused_from is None else event.reused_from)
        return first is not None and first.status == "stopped"
