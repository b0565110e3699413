"""python -m nas.export: write found architectures as spec files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nas.build import build
from nas.command_line import run_command
from nas.journal import Record, read_record, refuse_links
from nas.promotion import Promotion
from nas.trial import Trial, best_trials
from proxy_tasks import Fidelity
from search_space import InputError, ModelScale, SpecFile, write_spec
from search_space.paths import short_path
from search_space.spec_file import Provenance, first_error

T = TypeVar("T")

HELP = """\
python -m nas.export run=FOLDER [name=value ...]

Write the spec of one trial, or of the best ones, as JSON: topology, scale, and where it comes from.

  python -m nas.export run=runs/quickstart top=3
  python -m nas.export run=runs/quickstart trial=7 out=mine
"""


def export_trials(record: Record, trials: Sequence[Trial], run: Path, out: Path) -> list[Path]:
    """Write one spec file for each trial into the folder `out`, named by rank and key; return the paths.

    Raises:
        InputError: the folder cannot be written.
    """
    config = record.created.config
    scale = _from_config(ModelScale, config, "scale")
    fidelity = _from_config(Fidelity, config, "fidelity")
    promotion = _from_config(Promotion, config, "promotion") if "promotion" in config else Promotion()
    seed = _from_config(int, config, "seed")
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
            name=f"{run.name}-{trial.number}",
            key=key,
            spec=trial.spec,
            scale=scale,
            provenance=provenance,
        )
        paths.append(out / f"{rank:02d}-{key}.json")
        write_spec(paths[-1], document)
    return paths


def main(config: dict[str, Any]) -> None:
    """Write what the configuration asks for."""
    options = build(Options, config, "")
    record = read_record(options.run)
    if options.trial is None:
        trials = best_trials(record.trials, options.top)
        if not trials:
            raise InputError(f"{options.run}: no trial has a reward yet")
    elif (trial := record.trials.get(options.trial)) is None or trial.reward is None:
        raise InputError(f"trial={options.trial}: {options.run} has no finished trial of that number")
    else:
        trials = [trial]
    if options.out is None:
        refuse_links(options.run)
    for path in export_trials(record, trials, options.run, options.out or options.run / "export"):
        print(short_path(path))


@dataclass(frozen=True, slots=True)
class Options:
    """What to export; names as in `experiments/export.yaml`."""

    run: Path
    top: int
    trial: int | None
    out: Path | None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")


def _from_config(cls: type[T], config: Mapping[str, Any], name: str) -> T:
    """Return a part of a recorded configuration as a value."""
    try:
        return TypeAdapter(cls).validate_python(config.get(name))
    except ValidationError as error:
        raise InputError(f"the run's configuration has no usable {name}: {first_error(error)}") from None


if __name__ == "__main__":
    run_command("export", HELP, main)
