"""python -m nas.leaderboard: rank the trials of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.build import build
from nas.command_line import run_command
from nas.console import leaderboard_table
from nas.journal import Record, read_record
from nas.reward import Reward, objectives_of
from nas.trial import Trial, best_trials
from proxy_tasks.progress import make_console
from search_space import InputError
from search_space.paths import short_path

HELP = """\
python -m nas.leaderboard run=FOLDER [name=value ...]

Show the best architectures of a run, finished or under way. Each architecture appears once. With reward= they are
ranked anew by what the journal has on them; nothing is trained.

  python -m nas.leaderboard run=runs/quickstart top=20
  python -m nas.leaderboard run=runs/quickstart reward=targets reward.macs.target=75e6
  python -m nas.leaderboard run=runs/quickstart reward=tradeoff front=true
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to show; names as in `experiments/leaderboard.yaml`."""

    run: Path
    top: int
    front: bool
    reward: Reward | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")
        if self.front and (self.reward is None or len(self.reward.metrics) < 2):
            raise ValueError("front=true needs a reward with costs, as reward=tradeoff")


def main(config: dict[str, Any]) -> None:
    """Show what the configuration asks for."""
    options = build(Options, config, "")
    record = read_record(options.run)
    console = make_console()
    statuses = Counter(trial.status for trial in record.trials.values())
    console.print(", ".join(f"{n} {status}" for status, n in sorted(statuses.items())) or "no trials yet")
    kinds = Counter(t.failure.kind for t in record.trials.values() if t.status == "failed" and t.failure is not None)
    if kinds:
        console.print("failed: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))
    trials = best_trials(_ranked_anew(record, options.reward))
    title = f"Best of {short_path(options.run)}"
    if options.front and options.reward is not None:
        trials = front_of(trials, options.reward)
        title = f"Front of {short_path(options.run)}, {len(trials)} architectures: none beats another in all of "
        title += ", ".join(options.reward.metrics)
    if trials:
        console.print(leaderboard_table(trials[: options.top], title))


def front_of(trials: Sequence[Trial], reward: Reward) -> list[Trial]:
    """Return the trials that no other beats: is as good in all objectives of the reward and better in one."""
    # Rewards of different rungs do not compare; the furthest promoted come first.
    trials = [trial for trial in trials if trial.rung == trials[0].rung]
    points = np.array([objectives_of(reward, trial.metrics) for trial in trials])
    is_beaten = [bool(np.any(np.all(points >= own, axis=1) & np.any(points > own, axis=1))) for own in points]
    return [trial for trial, beaten in zip(trials, is_beaten, strict=True) if not beaten]


def _ranked_anew(record: Record, reward: Reward | None) -> Mapping[int, Trial]:
    """Return the trials with the rewards that they are to be ranked by.

    Raises:
        InputError: no trial has a metric that the reward looks at.
    """
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
