"""python -m nas.leaderboard: rank the trials of a run."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.build import build
from nas.command_line import run_command
from nas.console import leaderboard_table, make_console
from nas.journal import Record, read_record
from nas.reward import Reward
from nas.trial import Trial, best_trials
from search_space import InputError

HELP = """\
python -m nas.leaderboard run=FOLDER [name=value ...]

Show the best architectures of a run, finished or under way. Each architecture appears once. With reward= they are
ranked anew by what the journal has on them; nothing is trained.

  python -m nas.leaderboard run=runs/quickstart top=20
  python -m nas.leaderboard run=runs/quickstart reward=targets reward.macs.target=75e6
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to show; names as in `experiments/leaderboard.yaml`."""

    run: Path
    top: int
    reward: Reward | None = None

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
    if trials := best_trials(_ranked_anew(record, options), options.top):
        console.print(leaderboard_table(trials, f"Best of {os.path.relpath(options.run)}"))


def _ranked_anew(record: Record, options: Options) -> Mapping[int, Trial]:
    """Return the trials with the rewards that they are to be ranked by.

    Raises:
        InputError: no trial has a metric that the reward looks at.
    """
    reward = options.reward
    if reward is None:
        return record.trials
    scored = [trial for trial in record.trials.values() if trial.reward is not None]
    usable = {trial.number: trial for trial in scored if all(name in trial.metrics for name in reward.metrics)}
    if scored and not usable:
        known = sorted({name for trial in scored for name in trial.metrics})
        missing = next(name for name in reward.metrics if any(name not in trial.metrics for trial in scored))
        raise InputError(f"reward: no trial of the run has the metric {missing}; they have {', '.join(known)}")
    return {number: replace(trial, reward=reward(trial.metrics)) for number, trial in usable.items()}


if __name__ == "__main__":
    run_command("leaderboard", HELP, main)
