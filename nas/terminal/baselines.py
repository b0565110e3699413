"""Baselines in words: how the best architecture of a run stands to them, and how a replay changes them."""

import statistics
from collections.abc import Sequence

from nas.record.baselines import Baseline
from nas.record.comparison import compares
from nas.record.record import Record
from nas.record.trial import best_trials


def standing_line(record: Record, baselines: Sequence[Baseline], interval_command: str = "") -> str:
    """Return a line that says how far the best of a run is from its baselines; empty where there is nothing to say.

    Args:
        record: the run's. Baselines are trained as its first rung is, so that the best of that rung is compared.
        baselines: the run's.
        interval_command: trains both with several seeds; empty where training has no chance in it.
    """
    first_rung = {number: trial for number, trial in record.trials.items() if compares(trial)}
    ranked = best_trials(first_rung)
    if not ranked or not baselines:
        return ""

    best = ranked[0].reward or 0.0
    parts = [_distance(best, baseline) for baseline in baselines]
    whose = " of the first rung" if any(trial.rung for trial in record.trials.values()) else ""
    line = f"Baselines: the best{whose}, reward {best:.4f}, is {' and '.join(parts)}."
    if not interval_command:
        return line

    # The best was picked by this very figure, and the baselines were not.
    luck = f", and the best of {len(ranked)} is partly the luckiest" if len(ranked) > 1 else ""
    return f"{line} Each is one training{luck}; an interval takes several seeds: {interval_command}"


def replay_lines(in_search: Sequence[Baseline], replays: Sequence[Sequence[Baseline]]) -> list[str]:
    """Return a line for each baseline of a replay, with its reward in the search and what it is now.

    Args:
        in_search: the baselines of the search.
        replays: those of the replay, for each of its seeds.
    """
    before = {baseline.name: baseline for baseline in in_search}
    now: dict[str, list[Baseline]] = {}
    for baseline in (baseline for own in replays for baseline in own):
        now.setdefault(baseline.name, []).append(baseline)

    lines = []
    for name, trainings in now.items():
        was = f"reward in search {_reward(before[name])}, " if name in before else ""
        lines.append(f"baseline {name}: {was}{_mean(trainings)}")
    return lines


def _distance(best: float, baseline: Baseline) -> str:
    if baseline.reward is None:
        return f"without a comparison to {baseline.name}, {_reward(baseline)}"
    distance = best - baseline.reward
    words = f"{abs(distance):.4f} {'above' if distance > 0 else 'below'}" if distance else "equal to"
    return f"{words} {baseline.name} ({baseline.reward:.4f})"


def _reward(baseline: Baseline) -> str:
    """Return the reward of a baseline, or why it has none."""
    if baseline.reward is not None:
        return f"{baseline.reward:.4f}"
    return f"which failed ({baseline.failure.kind})" if baseline.failure else "which is not trained yet"


def _mean(trainings: Sequence[Baseline]) -> str:
    """Return the reward of one training, or the mean of several and how far they differ."""
    rewards = [baseline.reward for baseline in trainings if baseline.reward is not None]
    if len(rewards) < 2:
        best = next((baseline for baseline in trainings if baseline.reward is not None), trainings[0])
        return f"reward now {_reward(best)}"
    return f"mean now {statistics.fmean(rewards):.4f} ± {statistics.stdev(rewards):.4f}, n {len(rewards)}"
