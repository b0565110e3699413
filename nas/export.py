"""python -m nas.export: write found architectures as spec files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError, short_path
from nas.exporting.specs import export_trials
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.record.architecture import best_of
from nas.record.journal import read_record, refuse_links

HELP = """\
python -m nas.export run=FOLDER [name=value ...]

Write the spec of one trial, or of the best ones, as JSON: topology, scale, and where it comes from.

  python -m nas.export run=runs/quickstart top=3
  python -m nas.export run=runs/quickstart trial=7 out=mine
"""


def main(config: dict[str, Any]) -> None:
    """Write what the configuration asks for."""
    options = build(Options, config, "")
    record = read_record(options.run)
    if options.trial is None:
        trials = best_of(record, options.run, options.top)
    else:
        trial = record.trials.get(options.trial)
        if trial is None or trial.reward is None:
            raise InputError(f"trial={options.trial}: {options.run} has no finished trial of that number")
        trials = [trial]

    if options.out is None:
        refuse_links(options.run)
        paths = export_trials(record, trials, options.run, options.run / "export", inside=options.run)
    else:
        paths = export_trials(record, trials, options.run, options.out)
    for path in paths:
        print(short_path(path))


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/export.yaml`."""

    run: Path
    top: int
    trial: int | None
    out: Path | None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")


if __name__ == "__main__":
    run_command("export", HELP, main)
