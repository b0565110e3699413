"""The rows of a leaderboard, of one run or several, and how they are filtered and sorted."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from foundation import InputError
from nas.record.record import Record
from nas.record.trial import Trial, best_trials, place

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture in a leaderboard.

    Attributes:
        trial: the one that its figures come from.
        run: name of its run, empty where there is one run only.
        reused_by: numbers of later trials that proposed it again and were told its metrics.
    """

    trial: Trial
    run: str = ""
    reused_by: tuple[int, ...] = ()

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
        return self.trial.metrics.get(name)


def rows_of(records: Mapping[str, Record], trials: Mapping[str, Mapping[int, Trial]]) -> list[Row]:
    """Return every architecture that has a reward, best first, once for each run.

    Args:
        records: of the runs, by name.
        trials: of each run, with the rewards to rank by.
    """
    rows = []
    for run, record in records.items():
        reused = _reused_by(record)
        name = run if len(records) > 1 else ""
        rows += [Row(trial, name, tuple(reused.get(trial.number, ()))) for trial in best_trials(trials[run])]

    # Numbers of different runs say nothing about each other: equal rewards stay in the order of the runs.
    return sorted(rows, key=lambda row: place(row.trial)[:2])


def _reused_by(record: Record) -> dict[int, list[int]]:
    """Return the numbers of the trials that reused each trial's metrics, where there are any."""
    reused: dict[int, list[int]] = {}
    for trial in record.trials.values():
        if trial.reused_from is not None:
            reused.setdefault(trial.reused_from, []).append(trial.number)
    return reused


def names_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of all figures that a row has."""
    metrics = {name for row in rows for name in row.trial.metrics}
    return ["trial", "rung", "reward", "seconds", *sorted(metrics)]


def kept(rows: Sequence[Row], where: str) -> list[Row]:
    """Return the rows that meet all conditions, as `macs<80e6 and ap>0.5`; a row without the figure meets none on it.

    Raises:
        InputError: a condition that cannot be read, or a figure that no row has.
    """
    for condition in where.split(" and "):
        found = re.fullmatch(r"\s*([\w/ ]+?)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*", condition)
        try:
            name, sign, limit = found.groups() if found else ("", "", "")
            number = float(limit)
        except ValueError:
            raise InputError(f"where: needs conditions such as macs<80e6, got {condition!r}") from None

        _check_known(name, rows, "where")
        rows = [row for row in rows if _meets(row.value(name), sign, number)]
    return list(rows)


def _meets(value: float | None, sign: str, limit: float) -> bool:
    return value is not None and _COMPARISONS[sign](value, limit)


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """Return the rows sorted by a figure, lowest first, or highest first with a minus in front; rows without it last.

    Raises:
        InputError: a figure that no row has.
    """
    name = by.removeprefix("-")
    _check_known(name, rows, "sort")
    sign = -1 if by.startswith("-") else 1
    return sorted(rows, key=lambda row: (row.value(name) is None, sign * (row.value(name) or 0.0)))


def _check_known(name: str, rows: Sequence[Row], option: str) -> None:
    known = names_of(rows)
    if rows and name not in known:
        raise InputError(f"{option}: no trial has {name}; they have {', '.join(known)}")
