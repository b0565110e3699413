"""Figures of rules that stop trainings: savings and losses in searches that trained everything to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from foundation import InputError
from nas.assessment.binomial import share_estimate
from nas.assessment.interval import Estimate, estimate
from nas.record.record import Record
from nas.record.stopping import LossHistory, Stopping, loss_at
from nas.record.trial import Trial
from proxy_tasks import LossLimit
from proxy_tasks.base import parts_at

MAX_TOP_STOPPED = 0.02
"""Largest share of the best trainings that a rule may stop to be switched on by default."""
MAX_TOP_STOPPED_HIGH = 0.05
"""Largest upper bound of that share."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The trainings of one search under a rule, N in the order of their results.

    Attributes:
        share_done: (N,) share of each that would have been done.
        is_top: (N,) whether it is among the best tenth of the search.
        is_best: (N,) whether it is the best of the search.
    """

    share_done: tuple[float, ...]
    is_top: tuple[bool, ...]
    is_best: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """A rule over the trainings of several searches.

    Attributes:
        stopping: the rule.
        num_trainings: trainings that came to an end, each of another architecture in its search.
        num_stopped: how many of them would have been stopped.
        saved: share of the image passes that this would have saved.
        num_top: trainings among the best tenth of their search.
        num_top_stopped: how many of these would have been stopped.
        num_best_stopped: searches whose best would have been stopped.
    """

    stopping: Stopping
    num_trainings: int
    num_stopped: int
    saved: Estimate
    num_top: int
    num_top_stopped: int
    num_best_stopped: int

    @property
    def top_stopped(self) -> Estimate:
        """Share of the best tenth that would have been stopped."""
        return share_estimate(self.num_top_stopped, self.num_top)

    @property
    def is_safe(self) -> bool:
        """True where so few of the best are stopped that the rule could be on by default."""
        found = self.top_stopped
        return found.value <= MAX_TOP_STOPPED and found.high <= MAX_TOP_STOPPED_HIGH


@dataclass(frozen=True, slots=True)
class RulesAssessment:
    """Rules over the trainings of several searches.

    Attributes:
        runs: names of the searches.
        rules: figures of each rule, over all searches.
        left_out: for each search the rule that saved most in the others, among those that stopped at most
            `MAX_TOP_STOPPED` of their best; None where there was none. Empty for a single search.
        chosen: figures of these rules, each in the search that it was not chosen by, where nothing is stopped without
            one; None where there are none.
    """

    runs: tuple[str, ...]
    rules: tuple[RuleFigures, ...]
    left_out: tuple[Stopping | None, ...]
    chosen: RuleFigures | None


def assess_rules(records: Mapping[str, Record], rules: Sequence[Stopping]) -> RulesAssessment:
    """Return what rules would have saved and cost in searches.

    Args:
        records: of the searches, by name.
        rules: the rules, at least one.

    Raises:
        InputError: a search has no whole training with a loss curve, or stopped trainings itself.
    """
    outcomes = [[outcome_under(record, rule, name) for name, record in records.items()] for rule in rules]
    figures = [_figures(rule, own) for rule, own in zip(rules, outcomes, strict=True)]
    if len(records) == 1:
        return RulesAssessment(tuple(records), tuple(figures), (), None)

    # What looks best of many rules was lucky too: how it does where it was not chosen tells.
    chosen: list[int | None] = []
    for left_out in range(len(records)):
        others = [
            _figures(rule, own[:left_out] + own[left_out + 1 :]) for rule, own in zip(rules, outcomes, strict=True)
        ]
        usable = [i for i, found in enumerate(others) if found.num_top_stopped <= MAX_TOP_STOPPED * found.num_top]
        chosen.append(max(usable, key=lambda i: others[i].saved.value, default=None))

    # Where no rule is chosen nothing is stopped, and nothing saved: left out, such searches would flatter the others.
    found = [
        outcome_under(record, Stopping(), name) if i is None else outcomes[i][run]
        for run, ((name, record), i) in enumerate(zip(records.items(), chosen, strict=True))
    ]
    is_any_chosen = any(i is not None for i in chosen)
    return RulesAssessment(
        runs=tuple(records),
        rules=tuple(figures),
        left_out=tuple(None if i is None else rules[i] for i in chosen),
        chosen=_figures(Stopping(), found) if is_any_chosen else None,
    )


def outcome_under(record: Record, stopping: Stopping, name: str) -> RunOutcome:
    """Return the trainings of a search as they would have ended under a rule.

    Each has the limits of the results that were on record when it was proposed, none where people put it in, and what
    would have been stopped is known to those after it up to there alone. What was proposed is as it was: another
    controller than random search would have proposed something else from then on.

    Args:
        record: of the search.
        stopping: the rule.
        name: of the search, for messages.

    Raises:
        InputError: as `assess_rules`.
    """
    if any(trial.status == "stopped" for trial in record.trials.values()):
        raise InputError(f"{name}: it stopped trainings itself, so how they would have ended is not known")

    history = LossHistory(stopping)
    limits = [history.limits()]
    trained: list[Trial] = []
    for number in record.told:
        trial = record.trials[number]
        if trial.status == "completed" and trial.rung == 0 and trial.loss_curve:
            trial = _under(() if record.is_given(number) else limits[record.asked_after[number]], trial)
            trained.append(trial)
        history.note(trial)
        limits.append(history.limits())
    if not trained:
        raise InputError(f"{name}: none of its trials has both a reward and a loss curve")

    rewards = np.array([record.trials[trial.number].reward for trial in trained], dtype=np.float64)
    ranks = np.argsort(np.argsort(-rewards, kind="stable"), kind="stable")
    return RunOutcome(
        share_done=tuple(trial.share_done for trial in trained),
        is_top=tuple((ranks < max(1, round(len(trained) / 10))).tolist()),
        is_best=tuple((ranks == 0).tolist()),
    )


def _under(limits: Sequence[LossLimit], trial: Trial) -> Trial:
    """Return a whole training as it would have ended under limits."""
    for limit in sorted(limits, key=lambda limit: limit.share):
        loss = loss_at(trial.loss_curve, limit.share)
        if loss is not None and loss > limit.max_loss:
            num_done = parts_at(limit.share, len(trial.loss_curve))
            share = num_done / len(trial.loss_curve)
            return replace(trial, status="stopped", loss_curve=trial.loss_curve[:num_done], stopped_at=share)
    return trial


def _figures(stopping: Stopping, outcomes: Sequence[RunOutcome]) -> RuleFigures:
    done = np.array([share for own in outcomes for share in own.share_done])
    is_top = np.array([top for own in outcomes for top in own.is_top], dtype=bool)
    is_best = np.array([best for own in outcomes for best in own.is_best], dtype=bool)
    is_stopped = done < 1
    return RuleFigures(
        stopping=stopping,
        num_trainings=len(done),
        num_stopped=int(is_stopped.sum()),
        saved=estimate(lambda table: (1 - table).mean(-1), done),
        num_top=int(is_top.sum()),
        num_top_stopped=int((is_top & is_stopped).sum()),
        num_best_stopped=int((is_best & is_stopped).sum()),
    )
