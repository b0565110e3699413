"""The mean reward of an architecture over trainings that differ in their seed alone."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nas.record.baselines import Baseline
from nas.record.trial import Trial


@dataclass(frozen=True, slots=True)
class MeanReward:
    """A mean over trainings of one architecture.

    Attributes:
        mean: of their rewards.
        deviation: standard deviation of their rewards; None where there is one training alone.
        num_trainings: how many they are.
    """

    mean: float
    deviation: float | None = None
    num_trainings: int = 1


def mean_reward(rewards: Sequence[float]) -> MeanReward:
    """Return the mean of one reward or more."""
    deviation = statistics.stdev(rewards) if len(rewards) > 1 else None
    return MeanReward(statistics.fmean(rewards), deviation, len(rewards))


def mean_rewards(runs: Iterable[Mapping[int, Trial]]) -> dict[str, MeanReward]:
    """Return the mean of each architecture, by its key, over runs that train with a seed each.

    A training that failed was begun again under another number, so that each run has one reward of a key at most.
    """
    return _means((trial.key, trial.reward) for trials in runs for trial in trials.values())


def mean_baselines(runs: Iterable[Sequence[Baseline]]) -> dict[str, MeanReward]:
    """Return the mean of each baseline that has a reward, by its name, over runs that train with a seed each."""
    return _means((baseline.name, baseline.reward) for own in runs for baseline in own)


def _means(trainings: Iterable[tuple[str, float | None]]) -> dict[str, MeanReward]:
    rewards: dict[str, list[float]] = {}
    for name, reward in trainings:
        if reward is not None:
            rewards.setdefault(name, []).append(reward)
    return {name: mean_reward(own) for name, own in rewards.items()}
