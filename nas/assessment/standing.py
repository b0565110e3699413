"""The standing of each architecture of a ranking against the best, by the deviation between seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.assessment.told_apart import SeedDeviation, pooled_deviation
from nas.record.comparison import compares, furthest_schedule
from nas.record.problem import have_one_problem
from nas.record.ranking import BaselineRow, Row, Standing
from nas.record.record import Record


@dataclass(frozen=True, slots=True)
class SeedsOfRanking:
    """The part that seeds have in a ranking.

    Attributes:
        deviation: between seeds; None where it is not known.
        rung: of the trials whose rewards compare with those of replays; None where none do, as all continued from kept
            weights, and a replay trains from scratch.
        are_comparable: whether the runs of the ranking have one problem, so that one deviation may hold for all.
    """

    deviation: SeedDeviation | None
    rung: int | None
    are_comparable: bool

    def with_standings(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows, which are ranked, each with its standing against the first of them."""
        return [replace(row, standing=self._standing(row, rows[0])) for row in rows]

    def _standing(self, row: Row, best: Row) -> Standing:
        if self.deviation is None or not (self.compares(row) and self.compares(best)):
            return ""
        if row is best:
            return "best"
        return "may be as good" if self.deviation.may_be_as_good(row.ranked_by, best.ranked_by) else "behind"

    def compares(self, row: Row) -> bool:
        """Return whether what a row is ranked by compares with means of replays."""
        return row.replayed is not None or (self.rung is not None and compares(row.trial, self.rung))


def seeds_of(rows: Sequence[Row | BaselineRow], records: Sequence[Record]) -> SeedsOfRanking:
    """Return what the replays in a ranking say of seeds.

    Args:
        rows: all rows of the ranking and the baselines below it, before any filter.
        records: of its runs.
    """
    schedules = {furthest_schedule(record) for record in records}
    are_comparable = len(schedules) == 1 and have_one_problem(records)
    if not are_comparable:
        return SeedsOfRanking(None, None, False)

    ((rung, _, has_kept_weights),) = schedules
    means = [row.replayed for row in rows if row.replayed is not None]
    return SeedsOfRanking(pooled_deviation(means), None if has_kept_weights else rung, True)
