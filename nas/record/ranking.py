"""The rows of a leaderboard over one run or several: made, filtered and sorted."""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from foundation import InputError, nearest_hint
from nas.record.baselines import Baseline
from nas.record.mean_reward import MeanReward
from nas.record.record import Record
from nas.record.trial import Trial, best_trials, ranking_key

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}

_QUOTED = r"""(?:"(?P<double>(?:[^"]|"")*)"|'(?P<single>(?:[^']|'')*)')"""
"""A name in quotes of either kind; a quote that is part of it stands twice."""
_BARE = r"(?P<bare>\S(?:(?!<|>|==|!=).)*?)"
"""A name without quotes goes up to the first comparison."""
_COMPARED = r"(?P<sign><=|>=|==|!=|<|>)\s*(?P<limit>\S+?)"
_CONDITION = re.compile(rf"\s*(?:{_QUOTED}|{_BARE})\s*{_COMPARED}(?:\s+and\s+(?=\S)|\s*\Z)")
"""A condition with the `and` behind it, if there is one."""

OWN_FIGURES = ("trial", "rung", "reward", "seconds")
"""Figures that every row has beside its trial's metrics, under names that no metric may have."""
REPLAY_FIGURES = ("replay.mean", "replay.deviation", "replay.trainings")
"""Figures of those rows whose architectures were replayed."""
OWN_COLUMNS = ("run", *OWN_FIGURES, *REPLAY_FIGURES, "standing", "key", "reused_by")
"""Columns of a table of all figures beside those of the metrics."""

Standing: TypeAlias = Literal["", "best", "may be as good", "behind"]
"""The standing of an architecture against the best: too near to tell, or above it; or worse by more than seeds explain.
Empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """One architecture in a leaderboard.

    Attributes:
        trial: the trial that its figures come from.
        run: name of its run; empty where there is one run only.
        reused_by: numbers of later trials that proposed it again and were told its metrics.
        replayed: its mean over replays that compare with the run; None where there are none.
        standing: against the best.
    """

    trial: Trial
    run: str = ""
    reused_by: tuple[int, ...] = ()
    replayed: MeanReward | None = None
    standing: Standing = ""

    @property
    def ranked_by(self) -> MeanReward:
        """The mean over replays, or where there are none the reward of the single training."""
        return self.replayed or MeanReward(self.trial.reward or 0.0)

    def value(self, name: str) -> float | None:
        """Return a figure by its name; None where the trial has none of that name."""
        if name == "trial":
            return self.trial.number
        if name == "rung":
            return self.trial.rung
        if name == "reward":
            return self.trial.reward
        if name == "seconds":
            return sum(self.trial.seconds.values()) if self.trial.seconds else None
        if name in REPLAY_FIGURES:
            return _replay_value(self.replayed, name)
        return self.trial.metrics.get(name)


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One baseline below a leaderboard, without a rank.

    Attributes:
        baseline: the network and its figures.
        run: name of its run; empty where there is one run only.
        replayed: its mean over replays that compare with the run; None where there are none.
    """

    baseline: Baseline
    run: str = ""
    replayed: MeanReward | None = None

    def value(self, name: str) -> float | None:
        """Return a figure by its name; None where it has none of that name, as a trial's number."""
        if name == "rung":
            return 0
        if name == "reward":
            return self.baseline.reward
        if name == "seconds":
            return sum(self.baseline.seconds.values()) if self.baseline.seconds else None
        if name in REPLAY_FIGURES:
            return _replay_value(self.replayed, name)
        return self.baseline.metrics.get(name)


def rows_of(
    records: Mapping[str, Record],
    trials: Mapping[str, Mapping[int, Trial]],
    replayed: Mapping[str, Mapping[str, MeanReward]],
) -> list[Row]:
    """Return every architecture of each run that has a reward, best first, once a run.

    Those that were replayed come first, as a mean over seeds has less luck in it than the training that chose them.

    Args:
        records: the runs' records, by name.
        trials: the trials of each run, with the rewards to rank by.
        replayed: the means of each run's replays, by the key of the architecture.
    """
    rows = []
    for run, record in records.items():
        reused_by = _reused_by(record)
        shown_run = run if len(records) > 1 else ""
        for trial in best_trials(trials[run]):
            mean = replayed[run].get(trial.key)
            rows.append(Row(trial, shown_run, tuple(reused_by.get(trial.number, ())), mean))

    # Trial numbers of different runs do not compare: where rewards are equal, runs keep their order.
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[bool, int, float]:
    """Return the key that sorts rows, the best first."""
    if row.replayed is not None:
        return False, 0, -row.replayed.mean
    rung, reward, _ = ranking_key(row.trial)
    return True, rung, reward


def baseline_rows_of(
    baselines: Mapping[str, Sequence[Baseline]], replayed: Mapping[str, Mapping[str, MeanReward]]
) -> list[BaselineRow]:
    """Return the baselines of each run, best first: those that were replayed lead, those without a reward are last.

    Args:
        baselines: those of each run, by its name.
        replayed: the means of each run's replays, by the name of the baseline.
    """
    rows = []
    for run, own in baselines.items():
        shown_run = run if len(baselines) > 1 else ""
        rows += [BaselineRow(one, shown_run, replayed[run].get(one.name)) for one in own]
    return sorted(rows, key=_baseline_order)


def _baseline_order(row: BaselineRow) -> tuple[bool, bool, float]:
    """Return the key that sorts baselines, the best first."""
    reward = row.replayed.mean if row.replayed is not None else row.baseline.reward
    return row.replayed is None, reward is None, -(reward or 0.0)


def figure_names(rows: Iterable[Row | BaselineRow]) -> list[str]:
    """Return the names of all figures that one of the rows has."""
    rows = list(rows)
    metrics = {name for row in rows for name in _metrics(row)}
    of_replays = [name for name in REPLAY_FIGURES if any(row.value(name) is not None for row in rows)]
    return [*OWN_FIGURES, *of_replays, *sorted(metrics)]


def filter_rows(rows: Sequence[Row], where: str) -> list[Row]:
    """Return the rows that meet all conditions, as `macs<80e6 and ap>0.5`; one without the figure does not meet it.

    A figure's name may be in quotes, and is where it holds a comparison, as `"ap/a<b">0.5`.

    Raises:
        InputError: a condition that cannot be read, or a figure that no row has.
    """
    remaining = list(rows)
    for name, sign, limit in _parsed(where):
        _check_known(name, rows, "where")
        remaining = [row for row in remaining if _holds(row.value(name), sign, limit)]
    return remaining


def filter_baselines(rows: Sequence[BaselineRow], where: str) -> list[BaselineRow]:
    """Return the baselines that meet all conditions; one without a figure that trials have does not meet it.

    Raises:
        InputError: a condition that cannot be read.
    """
    conditions = _parsed(where)
    return [row for row in rows if all(_holds(row.value(name), sign, limit) for name, sign, limit in conditions)]


def ranges_of(rows: Sequence[Row], where: str) -> str:
    """Return what values the rows have of each figure that conditions name, as `ap 0.1 to 0.6, macs 5e+09 to 7e+09`.

    Raises:
        InputError: a condition that cannot be read.
    """
    texts = []
    for name in dict.fromkeys(name for name, _, _ in _parsed(where)):
        known = [value for value in (row.value(name) for row in rows) if value is not None]
        texts.append(f"{name} {min(known):.6g} to {max(known):.6g}" if known else f"{name} nowhere")
    return ", ".join(texts)


def sort_rows(rows: Sequence[Row], by: str) -> list[Row]:
    """Return the rows by a figure, lowest first; highest first with a minus in front. Rows without it come last.

    The figure's name may be in quotes.

    Raises:
        InputError: a figure that no row has.
    """
    # A name that begins with a minus itself is found as it stands.
    known = figure_names(rows)
    is_downwards = by.startswith("-") and (by not in known or by[1:] in known)
    name = _unquoted(by[1:] if is_downwards else by)
    _check_known(name, rows, "sort")
    sign = -1 if is_downwards else 1
    return sorted(rows, key=lambda row: (row.value(name) is None, sign * (row.value(name) or 0.0)))


def _replay_value(replayed: MeanReward | None, name: str) -> float | None:
    if replayed is None:
        return None
    figures = (replayed.mean, replayed.deviation, replayed.num_trainings)
    return dict(zip(REPLAY_FIGURES, figures, strict=True))[name]


def _metrics(row: Row | BaselineRow) -> Mapping[str, float]:
    return row.trial.metrics if isinstance(row, Row) else row.baseline.metrics


def _reused_by(record: Record) -> dict[int, list[int]]:
    """Return the numbers of the trials that were told the metrics of an earlier one, by the number of that one."""
    reused_by: dict[int, list[int]] = {}
    for trial in record.trials.values():
        if trial.reused_from is not None:
            reused_by.setdefault(trial.reused_from, []).append(trial.number)
    return reused_by


def _parsed(where: str) -> list[tuple[str, str, float]]:
    """Return the conditions, each as a figure's name, a comparison and a number."""
    conditions: list[tuple[str, str, float]] = []
    start = 0
    while start < len(where) or not conditions:
        found = _CONDITION.match(where, start)
        try:
            limit = float(found["limit"]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None or math.isnan(limit):
            raise InputError(f"where: needs conditions such as macs<80e6, got {where[start:]!r}")

        conditions.append((_name_in(found), found["sign"], limit))
        start = found.end()
    return conditions


def _unquoted(name: str) -> str:
    found = re.fullmatch(_QUOTED, name)
    return _name_in(found) if found else name


def _name_in(found: re.Match[str]) -> str:
    """Return the name that a match holds, bare or in quotes."""
    names = found.groupdict()
    if names["double"] is not None:
        return found["double"].replace('""', '"')
    if names["single"] is not None:
        return found["single"].replace("''", "'")
    return found["bare"]


def _holds(value: float | None, sign: str, limit: float) -> bool:
    return value is not None and _COMPARISONS[sign](value, limit)


def _check_known(name: str, rows: Sequence[Row], option: str) -> None:
    known = figure_names(rows)
    if rows and name not in known:
        raise InputError(f"{option}: no trial has {name}; they have {', '.join(known)}{nearest_hint(name, known)}")
