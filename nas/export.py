"""python -m nas.export: write found architectures as spec files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError, check_range, short_path
from nas.exporting.specs import export_trials
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_aside
from nas.record.architecture import highest_ranked
from nas.record.events import MAX_TRIALS
from nas.record.journal import read_record, refuse_links

HELP = """\
python -m nas.export run=FOLDER [name=value ...]

Write the spec of one trial, or of the best ones, as JSON: topology, scale, and where it comes from. The best are those
that nas.leaderboard shows first.

  python -m nas.export run=runs/quickstart top=3
  python -m nas.export run=runs/quickstart trial=7 out=mine
"""


def main(config: dict[str, Any]) -> None:
    """Write what the configuration asks for."""
    options = build(Options, config, "")
    record = read_record(options.run)
    if options.trial is None:
        trials = highest_ranked(record, options.run, options.top, print_aside)
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
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")


if __name__ == "__main__":
    run_command("export", HELP, main)
