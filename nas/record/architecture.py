"""An architecture as a person names it: by a published name, a spec file, or a run and one of its trials."""

from collections.abc import Callable
from pathlib import Path

from foundation import InputError, absolute_path, short_path
from nas.record.journal import read_record
from nas.record.mean_reward import mean_rewards
from nas.record.parts import recorded_part
from nas.record.ranking import rows_of
from nas.record.record import Record
from nas.record.replays import comparable_replays
from nas.record.trial import Trial, best_trials
from search_space import ArchSpec, ModelScale, published_names
from search_space.published import NamedSpec, find_spec, is_spec_file


def is_run(spec: str) -> bool:
    """Return whether an option names a run folder, and neither a published architecture nor a spec file."""
    if spec in published_names() or is_spec_file(spec):
        return False
    return "/" in spec or absolute_path(Path(spec)).is_dir()


def find_architecture(spec: str, trial: int | None = None, say: Callable[[str], None] = lambda line: None) -> NamedSpec:
    """Return a published architecture by its name, that of a spec file by its path, or one that a run proposed.

    Args:
        spec: a published name, the path of a spec file, which ends in `.json`, or a run folder.
        trial: number of a trial of the run, however it ended; None for the best.
        say: as of `highest_ranked`.

    Raises:
        InputError: no such name, file, run or trial, or a run that has no reward yet.
    """
    if not is_run(spec):
        if trial is not None:
            raise InputError(f"trial={trial} needs a run, as spec=runs/quickstart, got spec={spec}")
        return find_spec(spec)

    folder = absolute_path(Path(spec))
    record = read_record(folder)
    found = highest_ranked(record, folder, 1, say)[0] if trial is None else _numbered(record, folder, trial)
    scale = scale_of(found, record) if "scale" in record.created.config else found.scale
    return NamedSpec(found.spec, trial_name(folder, found), scale)


def scale_of(trial: Trial, record: Record) -> ModelScale:
    """Return the scale of a trial's networks: its own, or else that of its run.

    Raises:
        InputError: the run's configuration has no usable scale, and the trial has none of its own.
    """
    return trial.scale or recorded_part(ModelScale, record.created.config, "scale")


def base_of_space(spec: str, trial: int | None = None) -> ArchSpec:
    """Return the architecture that a space lies around; a run needs its trial, as its best may change from day to day.

    Raises:
        InputError: as `find_architecture`, or a run without the number of a trial.
    """
    found = find_architecture(spec, trial)
    if is_run(spec) and trial is None:
        number = found.name.rpartition("-")[2]
        raise InputError(
            f"space.base.spec={spec}: the best of a run may change, and a space must not: "
            f"give space.base.trial={number}, which is the best now"
        )
    return found.spec


def best_of(record: Record, folder: Path, count: int) -> list[Trial]:
    """Return the trials of a run that its search ranks highest, best first, each architecture once.

    Raises:
        InputError: there are none.
    """
    best = best_trials(record.trials, count)
    if not best:
        raise InputError(f"{folder}: no trial has a reward yet")
    return best


def highest_ranked(
    record: Record, folder: Path, count: int, say: Callable[[str], None] = lambda line: None
) -> list[Trial]:
    """Return the best trials of a run as a leaderboard ranks them: those that were replayed first, by their means.

    Args:
        record: what its journal says.
        folder: of the run.
        count: how many.
        say: called with a line that says so where replays have chosen the best, and one on each that is not read.

    Raises:
        InputError: there are none, or a replay is damaged.
    """
    # Without a single reward there is nothing to rank.
    best_of(record, folder, 1)
    means = mean_rewards(replay.record.trials for replay in comparable_replays(folder, record, say))
    rows = rows_of({"": record}, {"": record.trials}, {"": means})[:count]

    mean = rows[0].replayed
    if mean is not None:
        best = f"trial {rows[0].trial.number}, mean {mean.mean:.4f} (n {mean.num_trainings})"
        say(f"{short_path(folder)}: best by means over replays, as nas.leaderboard ranks: {best}")
    return [row.trial for row in rows]


def trial_name(folder: Path, trial: Trial) -> str:
    """Return what a run's architecture is called in tables and files, as `quickstart-7`."""
    return f"{folder.name}-{trial.number}"


def _numbered(record: Record, folder: Path, number: int) -> Trial:
    if number not in record.trials:
        there_are = f"there are 0 to {len(record.trials) - 1}" if record.trials else "there are none yet"
        raise InputError(f"trial={number}: {folder} has no trial of that number; {there_are}")
    return record.trials[number]
