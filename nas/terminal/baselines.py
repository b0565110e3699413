"""Baselines in words: how the best architecture of a run stands to them, and how a replay changes them."""

from collections.abc import Mapping, Sequence

from nas.assessment.standing import SeedsOfRanking
from nas.assessment.told_apart import SeedDeviation
from nas.record.baselines import Baseline
from nas.record.comparison import compares
from nas.record.mean_reward import MeanReward, mean_baselines
from nas.record.ranking import BaselineRow, Row
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


def comparison_line(
    seeds: SeedsOfRanking, rows: Sequence[Row], baselines: Sequence[BaselineRow], replay_command: str
) -> str:
    """Return how the best of a ranking stands to the baselines of its run; empty where there is nothing to compare.

    Args:
        seeds: their part in the ranking.
        rows: the ranking, with the best first.
        baselines: those below it.
        replay_command: trains both with several seeds; empty where seeds do nothing.
    """
    if not rows or not seeds.are_comparable:
        return ""
    means = [row.replayed for row in rows if row.replayed is not None]
    own = {row.baseline.name: row.replayed for row in baselines if row.run == rows[0].run}
    return interval_line(seeds.deviation, rows[0].replayed, own, len(means), replay_command)


def interval_line(
    deviation: SeedDeviation | None,
    best: MeanReward | None,
    baselines: Mapping[str, MeanReward | None],
    num_means: int,
    replay_command: str,
) -> str:
    """Return how far the best is from each baseline, with 95 % intervals; without one nothing is claimed.

    Args:
        deviation: between seeds; None where it is not known.
        best: the mean of the best; None where it is a single training of the search.
        baselines: the mean of each, by its name; None where it was not replayed.
        num_means: number of means that the best is the highest of.
        replay_command: trains both with several seeds; empty where seeds do nothing.
    """
    if not baselines:
        return ""
    known = {name: mean for name, mean in baselines.items() if mean is not None and mean.num_trainings > 1}
    if deviation is None or best is None or best.num_trainings < 2 or not known:
        if not replay_command:
            return ""
        names = " or ".join(baselines)
        return f"Baselines: no interval to {names}; it takes several seeds of the best and of each: {replay_command}"

    parts = [_difference(deviation, best, name, mean) for name, mean in known.items()]
    parts += [f"no interval to {name}, which lacks several seeds" for name in baselines if name not in known]
    which = f"the best of {num_means} means" if num_means > 1 else "the best"
    line = f"Baselines: {which}, {best.mean:.4f}, is {'; '.join(parts)}."
    return f"{line} The best was picked by its mean, which the intervals leave out." if num_means > 1 else line


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
    if baseline.failure is None:
        return "which is not trained yet"
    return f"which failed ({baseline.failure.kind}; the next start with baselines=true tries it again)"


def _difference(deviation: SeedDeviation, best: MeanReward, name: str, baseline: MeanReward) -> str:
    """Return on which side of a baseline the best is, if its interval says so, and the interval."""
    difference = best.mean - baseline.mean
    low, high = deviation.interval(best, baseline)
    side = "above" if low > 0 else "below" if high < 0 else "not told apart from"
    return f"{side} {name} ({baseline.mean:.4f}): {difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"


def _mean(trainings: Sequence[Baseline]) -> str:
    """Return the reward of one training, or the mean of several and how far they differ."""
    mean = mean_baselines([trainings]).get(trainings[0].name)
    if mean is None:
        return f"reward now {_reward(trainings[0])}"
    if mean.deviation is None:
        return f"reward now {mean.mean:.4f}"
    return f"mean now {mean.mean:.4f} ± {mean.deviation:.4f}, n {mean.num_trainings}"
