"""The wall time of runs: how long trials were running, and how many at a time."""

from dataclasses import dataclass

from nas.record.record import Record


@dataclass(frozen=True, slots=True)
class WallTime:
    """The time that the trials of a run took.

    Attributes:
        seconds: time in which one trial or more was running; time in which the search stood still does not count.
        most_at_once: most trials that were running at the same time.
    """

    seconds: float
    most_at_once: int


def wall_time(record: Record) -> WallTime:
    """Return how long trials were running, from the end of each trial and the seconds that it took."""
    changes: list[tuple[float, int]] = []
    for number, ended in zip(record.told, record.told_at, strict=True):
        took = sum(record.trials[number].seconds.values())
        if took:
            changes += [(ended - took, 1), (ended, -1)]

    # At equal times an end sorts before a beginning: a worker that goes from one trial to the next runs one.
    seconds, num_running, most_at_once, before = 0.0, 0, 0, 0.0
    for time, change in sorted(changes):
        if num_running:
            seconds += time - before
        num_running += change
        most_at_once = max(most_at_once, num_running)
        before = time
    return WallTime(seconds, most_at_once)
