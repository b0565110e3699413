"""The results of a run as trackers show them: names and figures, in the order in which they came."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nas.record.comparison import BestSoFar, compares
from nas.record.record import Record
from nas.record.trial import Status, Trial
from search_space import ArchSpec


@dataclass(frozen=True, slots=True)
class TrialPage:
    """A trained trial as trackers show it, each in a run, a page or a row of its own.

    Attributes:
        name: `trial 7` for the trial of that number.
        begun_at: when its evaluation began, in seconds since 1970.
        ended_at: when its result came.
        is_completed: whether it has a reward, or was stopped as it was behind; else it failed.
        hyperparameters: the architecture as columns of a table: its key, its short form, and each block's
            parts.
        losses: points of the loss curve, each with the percent of the training that was done.
        figures: its reward, every metric, and the seconds that it took.
    """

    name: str
    begun_at: float
    ended_at: float
    is_completed: bool
    hyperparameters: Mapping[str, str | float]
    losses: tuple[tuple[int, float], ...]
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """A trial of a search that ended, or figures that a training has come to.

    Attributes:
        number: 1 for the first result of the run, 2 for the second.
        step: its place on the curves of the run: its number in a search, the steps that are done in a training.
        time: when it came, in seconds since 1970.
        figures: how the run stands after it.
        trial: the trial, with its outcome; None in a training.
    """

    number: int
    step: int
    time: float
    figures: Mapping[str, float]
    trial: Trial | None = None

    @property
    def trained(self) -> Trial | None:
        """The trial where it is more than a proposal: reused and rejected ones were never trained."""
        is_trained = self.trial is not None and self.trial.status in ("completed", "stopped", "failed")
        return self.trial if is_trained else None

    def page(self) -> TrialPage:
        """Return a trained trial as trackers show it by itself.

        Raises:
            ValueError: the result is of no trained trial.
        """
        trial = self.trained
        if trial is None:
            raise ValueError(f"result {self.number} is of no trained trial")
        return TrialPage(
            name=f"trial {trial.number}",
            begun_at=self.time - sum(trial.seconds.values()),
            ended_at=self.time,
            is_completed=trial.status != "failed",
            hyperparameters=_hyperparameters(trial),
            losses=_loss_by_percent(trial),
            figures=_figures(trial),
        )


class ResultReader:
    """A reader of the results of a search whose record grows."""

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
            figures = self._search_figures(trial)
            results.append(Result(self._num_read, self._num_read, time, figures, trial))
        return results

    def _search_figures(self, trial: Trial) -> dict[str, float]:
        """Return how the search stands after a trial that has just ended."""
        best_reward = self._best.take(trial)
        figures = {f"trials/{status}": float(number) for status, number in self._num_ended.items()}
        if trial.reward is not None and compares(trial):
            figures["search/reward"] = trial.reward
        if best_reward is not None:
            figures["search/best_reward"] = best_reward
        return figures


def _figures(trial: Trial) -> dict[str, float]:
    reward = {} if trial.reward is None else {"reward": trial.reward}
    seconds = {"seconds": sum(trial.seconds.values())} if trial.seconds else {}
    return reward | dict(trial.metrics) | seconds


def _loss_by_percent(trial: Trial) -> tuple[tuple[int, float], ...]:
    percent, num_parts = 100 * trial.share_done, len(trial.loss_curve)
    return tuple((round(percent * part / num_parts), loss) for part, loss in enumerate(trial.loss_curve, start=1))


def _hyperparameters(trial: Trial) -> dict[str, str | float]:
    columns: dict[str, str | float] = {"key": trial.key, "spec": trial.candidate.short_form, "rung": trial.rung}
    if trial.numerics is not None:
        columns |= {name: value for name, value in asdict(trial.numerics).items() if value is not None}
    if trial.scale is not None:
        columns |= {f"scale.{name}": value for name, value in asdict(trial.scale).items()}
    return columns | _block_columns(trial.spec)


def _block_columns(spec: ArchSpec) -> dict[str, str | float]:
    columns: dict[str, str | float] = {}
    for position, block in enumerate(spec.blocks):
        name = f"block{position:02d}"
        columns[f"{name}.level"] = block.level
        columns[f"{name}.kind"] = block.kind
        columns[f"{name}.parents"] = "+".join(str(parent) for parent in block.parents)
    return columns
