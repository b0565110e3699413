"""Export of trials as spec files."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nas.record.architecture import trial_name
from nas.record.parts import recorded_part
from nas.record.promotion import Promotion
from nas.record.record import Record
from nas.record.trial import Trial
from proxy_tasks import Fidelity
from search_space import ModelScale, SpecFile, write_spec
from search_space.spec_file import Provenance


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
    scale = recorded_part(ModelScale, config, "scale")
    fidelity = recorded_part(Fidelity, config, "fidelity")
    promotion = recorded_part(Promotion, config, "promotion") if "promotion" in config else Promotion()
    seed = recorded_part(int, config, "seed")

    # Promoted trials were trained for longer than the run's own fidelity says.
    paths = []
    for rank, trial in enumerate(trials, start=1):
        key = trial.spec.key
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
            scale=scale,
            provenance=provenance,
        )
        path = out / f"{rank:02d}-{key}.json"
        write_spec(path, document, inside=inside)
        paths.append(path)

    return paths
