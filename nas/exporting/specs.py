"""Export of trials as spec files."""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from foundation import open_folder
from nas.record.architecture import highest_ranked, scale_of, trial_name
from nas.record.parts import recorded_part
from nas.record.promotion import Promotion
from nas.record.record import Record
from nas.record.trial import Trial
from proxy_tasks import Fidelity
from search_space import SpecFile, write_spec
from search_space.spec_file import Provenance

NUM_BEST = 3
"""Best trials whose specs are written into the run folder."""


def export_best(record: Record, run: Path) -> list[Path]:
    """Write the specs of the best trials into the folder `best` of their run, in place of those of an earlier time.

    They are the best as a leaderboard ranks: those that were replayed come first.

    Returns:
        The paths, best first.

    Raises:
        InputError: no trial has a reward, a replay is damaged, or the folder cannot be written.
    """
    paths = export_trials(record, highest_ranked(record, run, NUM_BEST), run, run / "best", inside=run)
    names = {path.name for path in paths}
    written_by_us = re.compile(r"\d\d-[0-9a-f]{16}\.json")

    # By a descriptor: a link that takes the folder's name meanwhile must not have files deleted elsewhere.
    with open_folder(run / "best", inside=run) as folder:
        for old in [entry.name for entry in os.scandir(folder)]:
            if old not in names and written_by_us.fullmatch(old):
                os.unlink(old, dir_fd=folder)
    return paths


def export_trials(
    record: Record, trials: Sequence[Trial], run: Path, out: Path, *, inside: Path | None = None
) -> list[Path]:
    """Write one spec file for each trial into a folder, named by rank and key; return the paths.

    Args:
        record: the record that the trials are from.
        trials: the trials, best first.
        run: the run folder.
        out: the folder that is written into.
        inside: the run folder again where `out` is a part of it: no link in it is followed; see `write_whole`.

    Raises:
        InputError: the folder cannot be written.
    """
    config = record.created.config
    fidelity = recorded_part(Fidelity, config, "fidelity")
    promotion = recorded_part(Promotion, config, "promotion") if "promotion" in config else Promotion()
    seed = recorded_part(int, config, "seed")

    # Promoted trials were trained for longer than the run's own fidelity says.
    paths = []
    for rank, trial in enumerate(trials, start=1):
        key = trial.candidate.key
        provenance = Provenance(
            run=run.name,
            trial=trial.number,
            seed=seed,
            reward=trial.reward or 0.0,
            metrics=dict(trial.metrics),
            fidelity=asdict(promotion.fidelity(fidelity, trial.rung)),
            versions=record.created.versions,
        )

        document = SpecFile(
            schema_version=1,
            name=trial_name(run, trial),
            key=key,
            spec=trial.spec,
            scale=scale_of(trial, record),
            provenance=provenance,
        )
        path = out / f"{rank:02d}-{key}.json"
        write_spec(path, document, inside=inside)
        paths.append(path)

    return paths
