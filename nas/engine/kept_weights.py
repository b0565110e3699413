"""The networks that a run keeps for promotions, within a bound on disk."""

import math
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nas.record.journal import leads_out
from nas.record.promotion import FOLDER, kept_of
from nas.record.trial import Trial

_GB = 1e9


def keep_within(run: Path, max_gb: float, trials: Iterable[Trial]) -> None:
    """Delete kept networks until they take no more than a number of gigabytes.

    Those go first that nothing will start from, as their promotion has ended, the oldest first; then those of the
    lowest rewards, which are promoted last. What a running trial starts from or writes stays. A promotion that does not
    find its network trains from the start, and says so.

    Args:
        run: the run folder; of its networks, none is deleted that leads out of it.
        max_gb: the bound.
        trials: all of the run.
    """
    folder = run / FOLDER
    if not folder.is_dir() or leads_out(folder, run):
        return
    kept = [one for path in folder.iterdir() if (one := _kept(path)) is not None]
    excess = sum(one.size for one in kept) - max_gb * _GB
    if excess <= 0:
        return

    in_use, promoted, rewards = set(), set(), {}
    for trial in trials:
        below, own = (trial.key, trial.rung - 1), (trial.key, trial.rung)
        if trial.status == "running":
            in_use |= {below, own}
        else:
            promoted.add(below)
        if trial.reward is not None:
            rewards[own] = trial.reward

    def worth(one: _Kept) -> tuple[bool, float]:
        is_needed = one.trained not in promoted
        return is_needed, rewards.get(one.trained, -math.inf) if is_needed else one.time

    for one in sorted(kept, key=worth):
        if excess <= 0:
            return
        if one.trained not in in_use:
            # Another process, or a person, may have deleted it.
            with suppress(OSError):
                one.path.unlink()
                excess -= one.size


class _Kept(NamedTuple):
    """A kept network: its file, key and rung of the trial that it is of, bytes, and when it was written."""

    path: Path
    trained: tuple[str, int]
    size: int
    time: float


def _kept(path: Path) -> _Kept | None:
    """Return what a file holds; None for what is none of ours or no file of its own, as a link."""
    trained = kept_of(path)
    try:
        status = path.lstat()
    except OSError:
        return None
    if trained is None or not stat.S_ISREG(status.st_mode):
        return None
    return _Kept(path, trained, status.st_size, status.st_mtime)
