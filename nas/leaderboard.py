"""python -m nas.leaderboard: rank the trials of a run."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.build import build
from nas.command_line import run_command
from nas.console import leaderboard_table, make_console
from nas.journal import read_record
from nas.trial import best_trials

HELP = """\
python -m nas.leaderboard run=FOLDER [name=value ...]

Show the best architectures of a run, finished or under way. Each architecture appears once.

  python -m nas.leaderboard run=runs/quickstart top=20
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to show; names as in `experiments/leaderboard.yaml`."""

    run: Path
    top: int

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")


def main(config: dict[str, Any]) -> None:
    """Show what the configuration asks for."""
    options = build(Options, config, "")
    record = read_record(options.run)
    console = make_console()
    statuses = Counter(trial.status for trial in record.trials.values())
    console.print(", ".join(f"{n} {status}" for status, n in sorted(statuses.items())) or "no trials yet")
    kinds = Counter(trial.failure.kind for trial in record.trials.values() if trial.failure is not None)
    if kinds:
        console.print("failed: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))
    if trials := best_trials(record.trials, options.top):
        console.print(leaderboard_table(trials, f"Best of {os.path.relpath(options.run)}"))


if __name__ == "__main__":
    run_command("leaderboard", HELP, main)
