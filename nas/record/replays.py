"""The replays of a run: where they lie, and which of them train and score as the run did, so that rewards compare."""

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import short_path
from nas.options.configuration import option_texts
from nas.record.baselines import FOLDER as BASELINES
from nas.record.baselines import Baseline, read_baselines
from nas.record.comparison import furthest_rung
from nas.record.events import Created
from nas.record.identity import present_options
from nas.record.journal import FILE_NAME, has_trials, leads_out, read_record
from nas.record.parts import recorded_part
from nas.record.problem import problem_differences
from nas.record.promotion import Promotion
from nas.record.record import Record
from proxy_tasks import Fidelity

_CLOSED_FORM = (
    "proxy_tasks.landscape.Landscape",
    "proxy_tasks.neutral_landscape.NeutralLandscape",
    "proxy_tasks.resolution_landscape.ResolutionLandscape",
)
"""Tasks in which without noise no seed changes anything."""
REPLAYS = "replays"
"""Folder in a run that holds those of its replays, one for each seed."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of a run, with one seed.

    Attributes:
        record: what its journal says.
        baselines: networks that were trained beside its trials.
    """

    record: Record
    baselines: tuple[Baseline, ...] = ()


def replayed_run(folder: Path) -> Path | None:
    """Return the run whose replay a folder holds; None where it holds none."""
    run = folder.parent.parent
    return run if folder.parent.name == REPLAYS and has_trials(folder) and has_trials(run) else None


def comparable_replays(folder: Path, record: Record, warn: Callable[[str], None] = lambda line: None) -> list[Replay]:
    """Return the replays of a run whose rewards compare with those of its furthest promoted trials.

    A replay with the run's own seed is none of them: its trainings are those that architectures were chosen by, and
    what was chosen had luck.

    Args:
        folder: of the run.
        record: what its journal says.
        warn: called with a line on what leads out of the run folder, and is not read.

    Raises:
        InputError: the journal or a baseline of a replay is damaged.
    """
    found: dict[object, Replay] = {}
    for path in _replay_folders(folder, warn):
        # One that is just being begun has no trials yet.
        if not has_trials(path):
            continue

        replay = read_record(path)
        seed = replay.created.config.get("seed")
        has_own_seed = seed == record.created.config.get("seed")
        differences = differences_to_search(record, replay.created.config, replay.created.data)
        if not differences and not has_own_seed:
            # A copy of a replay is no further training.
            found.setdefault(seed, Replay(replay, read_baselines(path)))
    return list(found.values())


def _replay_folders(folder: Path, warn: Callable[[str], None]) -> list[Path]:
    """Return the folders of a run's replays, without those of which something leads out of the run folder."""
    replays = folder / REPLAYS
    if leads_out(replays, folder):
        warn(_not_read(replays))
        return []

    inside = []
    for journal in sorted(replays.glob(f"*/{FILE_NAME}")):
        read = [journal, *(journal.parent / BASELINES).glob("*.json")]
        if any(leads_out(path, folder) for path in read):
            warn(_not_read(journal.parent))
        else:
            inside.append(journal.parent)
    return inside


def _not_read(path: Path) -> str:
    return f"{short_path(path)} leads out of the run folder, so that it is not read; put what it points to in its place"


def rung_trained_as(search: Created, config: Mapping[str, Any], data: Mapping[str, str] | None) -> int | None:
    """Return the rung of a search that a configuration trains and scores like, but for the seed; None for no rung.

    Args:
        search: the first line of the search's journal.
        config: the configuration of a replay of it.
        data: the content of the replay's data; None where that is not known.

    Raises:
        InputError: the fidelity on record cannot be used.
    """
    if _other_problem(search, config, data):
        return None
    fidelity = recorded_part(Fidelity, config, "fidelity")
    rungs = range(recorded_promotion(search).num_rungs)
    return next((rung for rung in rungs if _is_same(recorded_fidelity(search, rung), fidelity)), None)


def differences_to_search(record: Record, config: Mapping[str, Any], data: Mapping[str, str] | None) -> list[str]:
    """Return what keeps the rewards of a replay from being ranked beside those of its search, in words.

    Args:
        record: what the search's journal says.
        config: the configuration of a replay of it.
        data: the content of the replay's data; None where that is not known.

    Returns:
        The options, as `task.precision=float32`, and the parts of the data in which it differs from the furthest
        promoted trials; none where it ranks.

    Raises:
        InputError: the fidelity on record cannot be used.
    """
    texts = option_texts(present_options(config))
    names = _other_problem(record.created, config, data)
    differences = [f"{name}={texts[name]}" if name in texts else name for name in names]

    was = recorded_fidelity(record.created, furthest_rung(record.trials.values()))
    now = recorded_part(Fidelity, config, "fidelity")
    if not math.isclose(was.epochs, now.epochs):
        differences.append(f"fidelity.epochs={now.epochs:g}")
    if was.max_train_images != now.max_train_images:
        differences.append(f"fidelity.max_train_images={now.max_train_images or 'null'}")
    return differences


def _other_problem(search: Created, config: Mapping[str, Any], data: Mapping[str, str] | None) -> list[str]:
    """Return the options but for the fidelity, and the parts of the data, in which a replay solves another problem."""
    was, now = (option_texts(present_options(one)) for one in (search.config, config))

    # A younger version has further options, which a replay checks to do what the older one did.
    shared = [name for name in was if name in now and not name.startswith("fidelity.")]
    options = [{name: own[name] for name in shared} for own in (was, now)]
    return problem_differences(options, [search.data, data], search.data_places or ())


def comparing_command(record: Record, replay: str, run: str) -> str:
    """Return the command that tells how far seeds differ among the best of a run; empty where they do nothing.

    Args:
        record: what the run's journal says.
        replay: the command that replays.
        run: the folder of the run, as a person names it.

    Raises:
        InputError: the fidelity on record cannot be used.
    """
    options = comparing_options(record)
    return f"{replay} {shlex.join([f'run={run}', *options])}" if options else ""


def comparing_options(record: Record, top: int = 12) -> tuple[str, ...]:
    """Return the options of a replay that tells how far seeds differ among the furthest promoted trials of a run.

    What was promoted is ranked by its longer training, so that the replay trains as long.

    Args:
        record: what the run's journal says.
        top: how many of the best to train again.

    Returns:
        The options; none where seeds do nothing.

    Raises:
        InputError: the fidelity on record cannot be used.
    """
    if _ignores_seeds(record.created.config):
        return ()
    furthest = furthest_rung(record.trials.values())
    has_fidelity = "fidelity" in record.created.config
    epochs = (
        [f"fidelity.epochs={recorded_fidelity(record.created, furthest).epochs:g}"] if furthest and has_fidelity else []
    )
    return (f"top={top}", "seeds=3", *epochs)


def recorded_fidelity(search: Created, rung: int) -> Fidelity:
    """Return the amount of training of a rung of a search.

    Raises:
        InputError: what is on record cannot be used.
    """
    return recorded_promotion(search).fidelity(recorded_part(Fidelity, search.config, "fidelity"), rung)


def recorded_promotion(search: Created) -> Promotion:
    """Return how a search promotes; one of an older version does not.

    Raises:
        InputError: what is on record cannot be used.
    """
    return recorded_part(Promotion, search.config, "promotion") if "promotion" in search.config else Promotion()


def _ignores_seeds(config: Mapping[str, Any]) -> bool:
    """Return whether a run on record has a task that no seed changes anything in, which no class is asked for here."""
    task = present_options(config)
    return task.get("task._target_") in _CLOSED_FORM and not task.get("task.noise")


def _is_same(first: Fidelity, second: Fidelity) -> bool:
    return first.max_train_images == second.max_train_images and math.isclose(first.epochs, second.epochs)
