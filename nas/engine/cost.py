"""The cost of a search before it starts: trainings and epochs of each rung, and of the plain search."""

from dataclasses import dataclass

from nas.engine.plan import Plan
from nas.record.record import Record


@dataclass(frozen=True, slots=True)
class Trainings:
    """Trainings of one length.

    Attributes:
        name: what they are, as `rung 1`.
        number: how many there are at most: an architecture that is proposed again is not trained again.
        epochs: epochs of each; where it continues from kept weights, those that it lacks.
        share_done: least and greatest share of them that is done, below 1 where trainings are stopped.
    """

    name: str
    number: int
    epochs: float
    share_done: tuple[float, float] = (1.0, 1.0)

    @property
    def total_epochs(self) -> tuple[float, float]:
        """Epochs of all of them, least and greatest."""
        low, high = self.share_done
        return self.number * self.epochs * low, self.number * self.epochs * high


def search_trainings(plan: Plan, share_done: float | None = None) -> list[Trainings]:
    """Return the trainings of a search, those of each rung.

    Args:
        plan: of the search.
        share_done: share that is done of trainings with a limit, which the first `min_results` do not have; None where
            that is not known. It is then between what is done where the worst are stopped at once, and all.
    """
    promotion, epochs, stopping = plan.promotion, plan.fidelity.epochs, plan.stopping
    first = _num_first(plan)
    done = (1.0, 1.0)
    if stopping.shares:
        share_limited = 1 - min(stopping.min_results, first) / first
        low = 1 - stopping.worst * (1 - min(stopping.shares)) if share_done is None else share_done
        high = 1.0 if share_done is None else share_done
        done = (1 - share_limited * (1 - low), 1 - share_limited * (1 - high))
    found = [Trainings("trials", first, epochs, done)]

    for rung in range(1, promotion.num_rungs):
        own = promotion.fidelity(plan.fidelity, rung).epochs
        before = promotion.fidelity(plan.fidelity, rung - 1).epochs if promotion.keep_weights else 0.0
        found.append(Trainings(f"promoted, rung {rung}", first // promotion.reduction**rung, own - before))
    return found


def plain_trainings(plan: Plan) -> Trainings:
    """Return the trainings of the plain search: as many architectures, each trained for as long as the furthest."""
    last = plan.promotion.fidelity(plan.fidelity, plan.promotion.num_rungs - 1)
    return Trainings("plain search", _num_first(plan), last.epochs)


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """The cost of the trials of a run, as on record.

    Attributes:
        num_trials: those of the first rung that were trained to their end.
        seconds: what one of them takes on its worker, scoring included.
        share_done: share that was done of the first rung's trainings with a limit; None where none had one.
    """

    num_trials: int
    seconds: float
    share_done: float | None


def measured_cost(record: Record) -> MeasuredCost | None:
    """Return what the trials on record have cost; None where none of the first rung was trained to its end."""
    first = [trial for trial in record.trials.values() if trial.rung == 0 and trial.seconds]
    whole = [sum(trial.seconds.values()) for trial in first if trial.status == "completed"]
    if not whole:
        return None
    limited = [trial.share_done for trial in first if trial.loss_limits and trial.status in ("completed", "stopped")]
    return MeasuredCost(len(whole), sum(whole) / len(whole), sum(limited) / len(limited) if limited else None)


def _num_first(plan: Plan) -> int:
    """Return how many trials are of the first rung, where all promotions that are due are among the others."""

    def total(first: int) -> int:
        return sum(first // plan.promotion.reduction**rung for rung in range(plan.promotion.num_rungs))

    low, high = 1, plan.num_trials
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if total(middle) <= plan.num_trials else (low, middle - 1)
    return low
