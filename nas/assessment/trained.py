"""Trainings of proxies as tables: the same architectures, each with several seeds, from the records of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foundation import InputError
from nas.assessment.correlation import Floats
from nas.record.comparison import compares
from nas.record.record import Record
from nas.record.trial import Trial

MIN_ARCHITECTURES = 3
"""Fewest architectures that have a ranking worth the name."""


@dataclass(frozen=True, slots=True, eq=False)
class ProxyRuns:
    """The runs of one proxy, which differ in their seed alone.

    Attributes:
        name: what the proxy is called.
        records: record of each run, by its seed.
    """

    name: str
    records: Mapping[int, Record]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedProxy:
    """The trainings of one proxy: N architectures, each with S seeds.

    Attributes:
        name: what the proxy is called.
        rewards: (N, S) rewards.
        seconds: (N, S) durations; NaN where they are not on record.
        losses: (N, S, P) mean training losses in P equal parts of the training; P is 0 where not all have as many.
    """

    name: str
    rewards: Floats
    seconds: Floats
    losses: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Trainings:
    """The trainings of several proxies, over the architectures that all of them have rewards of with every seed.

    Attributes:
        keys: (N,) keys of these architectures.
        proxies: each proxy's tables, in the given order.
        num_left_out: architectures of some run that lack a reward in another.
    """

    keys: tuple[str, ...]
    proxies: tuple[TrainedProxy, ...]
    num_left_out: int


def trainings_of(proxies: Sequence[ProxyRuns]) -> Trainings:
    """Return the tables of proxies over their common architectures, in the order of the first run.

    Raises:
        InputError: a proxy has one seed only, or there are too few common architectures.
    """
    for proxy in proxies:
        if len(proxy.records) < 2:
            seeds = ", ".join(map(str, proxy.records))
            raise InputError(
                f"{proxy.name}: has runs of one seed only, {seeds}; how far seeds of one architecture differ takes two "
                "or more"
            )

    found = [{seed: _rewarded(record) for seed, record in proxy.records.items()} for proxy in proxies]
    runs = [trials for by_seed in found for trials in by_seed.values()]
    keys = [key for key in runs[0] if all(key in trials for trials in runs)]
    num_known = len({key for proxy in proxies for record in proxy.records.values() for key in _keys(record)})

    if len(keys) < MIN_ARCHITECTURES:
        counts = ", ".join(
            f"{proxy.name} with seed {seed}: {len(trials)}"
            for proxy, by_seed in zip(proxies, found, strict=True)
            for seed, trials in by_seed.items()
        )
        raise InputError(
            f"{len(keys)} architectures have a reward in every run, and {MIN_ARCHITECTURES} or more are needed; "
            f"architectures with a reward are {counts}"
        )
    tables = [_tables(proxy.name, keys, by_seed) for proxy, by_seed in zip(proxies, found, strict=True)]
    return Trainings(tuple(keys), tuple(tables), num_known - len(keys))


def _keys(record: Record) -> set[str]:
    return {trial.key for trial in record.trials.values()}


def _rewarded(record: Record) -> dict[str, Trial]:
    """Return the first trial with a reward of each architecture; promoted ones had more training than the proxy has."""
    trials: dict[str, Trial] = {}
    for trial in record.trials.values():
        if compares(trial):
            trials.setdefault(trial.key, trial)
    return trials


def _tables(name: str, keys: Sequence[str], by_seed: Mapping[int, Mapping[str, Trial]]) -> TrainedProxy:
    rows = [[trials[key] for trials in by_seed.values()] for key in keys]  # (N, S)
    rewards = [[trial.reward for trial in row] for row in rows]
    seconds = [[sum(trial.seconds.values()) if trial.seconds else np.nan for trial in row] for row in rows]

    lengths = {len(trial.loss_curve) for row in rows for trial in row}
    losses = [[trial.loss_curve if len(lengths) == 1 else () for trial in row] for row in rows]
    return TrainedProxy(
        name,
        np.array(rewards, dtype=np.float64),
        np.array(seconds, dtype=np.float64),
        np.array(losses, dtype=np.float64),
    )
