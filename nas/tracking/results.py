"""The results of a run as trackers show them: names and figures, in the order in which they came."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nas.record.comparison import BestSoFar, compares
from nas.record.journal import Record
from nas.record.trial import Status, Trial
from search_space import ArchSpec
from search_space.spec import short_form


@dataclass(frozen=True, slots=True)
class Result:
    """A trial that ended.

    Attributes:
        number: 1 for the first result of the run, 2 for the second.
        time: when it came, in seconds since 1970.
        trial: what became of it.
        best_reward: of the results so far, this one included; None while none has one.
        num_ended: how many results so far have each status.
    """

    number: int
    time: float
    trial: Trial
    best_reward: float | None
    num_ended: Mapping[Status, int]


class ResultReader:
    """Reads the results of a record that grows."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._num_read = 0
        self._num_ended: Counter[Status] = Counter()
        self._best = BestSoFar()

    def read(self) -> list[Result]:
        """Return the results that have come since the last time; at first, all there are."""
        results = []
        for trial_number in self._record.told[self._num_read :]:
            trial, time = self._record.trials[trial_number], self._record.told_at[self._num_read]
            self._num_read += 1
            self._num_ended[trial.status] += 1
            best_reward = self._best.take(trial)
            results.append(Result(self._num_read, time, trial, best_reward, dict(self._num_ended)))
        return results


def is_trained(trial: Trial) -> bool:
    """Return whether a trial that ended is more than a proposal: reused and rejected ones were never trained."""
    return trial.status in ("completed", "failed")


def search_figures(result: Result) -> dict[str, float]:
    """Return how the search stands after a result."""
    figures = {f"trials/{status}": float(number) for status, number in result.num_ended.items()}
    if result.trial.reward is not None and compares(result.trial):
        figures["search/reward"] = result.trial.reward
    if result.best_reward is not None:
        figures["search/best_reward"] = result.best_reward
    return figures


def trial_figures(trial: Trial) -> dict[str, float]:
    """Return what was found of an architecture: its reward, every metric, and the seconds that it took."""
    reward = {} if trial.reward is None else {"reward": trial.reward}
    seconds = {"seconds": sum(trial.seconds.values())} if trial.seconds else {}
    return reward | dict(trial.metrics) | seconds


def loss_by_percent(trial: Trial) -> list[tuple[int, float]]:
    """Return the points of the loss curve, each at the percent of the training that was done."""
    num_parts = len(trial.loss_curve)
    return [(round(100 * part / num_parts), loss) for part, loss in enumerate(trial.loss_curve, start=1)]


def hyperparameters(trial: Trial) -> dict[str, str | float]:
    """Return what an architecture is, as columns of a table: its key, its short form, and each block's parts."""
    columns: dict[str, str | float] = {"key": trial.key, "spec": short_form(trial.spec.blocks), "rung": trial.rung}
    return columns | _blocks(trial.spec)


def _blocks(spec: ArchSpec) -> dict[str, str | float]:
    columns: dict[str, str | float] = {}
    for position, block in enumerate(spec.blocks):
        name = f"block{position:02d}"
        columns[f"{name}.level"] = block.level
        columns[f"{name}.kind"] = block.kind
        columns[f"{name}.parents"] = "+".join(str(parent) for parent in block.parents)
    return columns
