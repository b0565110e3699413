"""What a search learned: how often each choice occurs in its best architectures, against all of them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foundation import InputError
from nas.record.trial import Trial, best_trials
from nas.reporting.curves import NUM_RESAMPLES, PERCENTILES
from nas.reporting.runs import ReportedRun
from search_space import ArchSpec, ScalePermutedSpace, load_spec, published_names, resnet_seed
from search_space.spec import NUM_STEM_PARENTS

TOP_SHARE = 0.1
MIN_ARCHITECTURES = 10
"""Fewer say nothing."""
_MIN_FOR_INTERVAL = 5

Counts: TypeAlias = Counter[str]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """How often each of K options occurs, as shares that add up to 1.

    Attributes:
        name: what is counted.
        options: (K,) in order.
        of_all: (K,) share among all architectures.
        of_top: (K,) share among the best tenth.
        low, high: (K,) 95 % interval of `of_top`, by bootstrap over architectures; empty where there are few.
    """

    name: str
    options: tuple[str, ...]
    of_all: tuple[float, ...]
    of_top: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """What one group of runs learned.

    Attributes:
        num_all: different architectures with a reward.
        num_top: of them in the best tenth, which is taken in each run.
        features: what is counted.
        levels: of the rows of `positions`.
        positions: for each level, at each position, by how much more often (share) it stands there in the best tenth
            than in all; empty where architectures differ in length.
    """

    num_all: int
    num_top: int
    features: tuple[Feature, ...]
    levels: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]


def learned_by_group(runs: Sequence[ReportedRun]) -> Mapping[str, Learned]:
    """Return what each group learned; without groups that have too few architectures to say."""
    groups = dict.fromkeys(run.group for run in runs)
    found = {group: _learned([run for run in runs if run.group == group]) for group in groups}
    return {group: learned for group, learned in found.items() if learned.num_all >= MIN_ARCHITECTURES}


def level_offsets(config: Mapping[str, Any]) -> Callable[[Trial], Sequence[int]] | None:
    """Return what gives the level offsets that a trial's decisions chose; None where its space has none.

    The space is made from values on record that name what this package has, never from a class or file named there.
    """
    space, base = config.get("space"), None
    if not isinstance(space, Mapping) or space.get("_target_") != "search_space.ScalePermutedSpace":
        return None
    try:
        base = _known_base(space.get("base"))
        options = {name: value for name, value in space.items() if name not in ("_target_", "base")}
        if base is None or len(set(options["level_offsets"])) < 2:
            return None
        names = [decision.name for decision in ScalePermutedSpace(base, **options).decisions]
        offsets = sorted(set(options["level_offsets"]))
    except (TypeError, ValueError, KeyError):
        return None
    places = [at for at, name in enumerate(names) if name.endswith(".level_offset")]

    def offsets_of(trial: Trial) -> Sequence[int]:
        decisions = trial.proposal.decisions
        if len(decisions) != len(names) or any(not 0 <= decisions[at] < len(offsets) for at in places):
            return ()
        return [offsets[decisions[at]] for at in places]

    return offsets_of


def _known_base(base: object) -> ArchSpec | None:
    if not isinstance(base, Mapping):
        return None
    target, name = base.get("_target_"), str(base.get("name", base.get("spec")))
    try:
        if target == "search_space.resnet_seed":
            return resnet_seed(name)
        return load_spec(name) if target == "search_space.load_spec" and name in published_names() else None
    except InputError:
        return None


def _learned(runs: Sequence[ReportedRun]) -> Learned:
    trials: list[Trial] = []
    is_top: list[bool] = []
    counts: list[dict[str, Counts]] = []
    for run in runs:
        ranked = best_trials(run.record.trials)
        offsets_of = level_offsets(run.record.created.config)
        trials += ranked
        is_top += [place < np.ceil(TOP_SHARE * len(ranked)) for place in range(len(ranked))]
        counts += [_counts(trial, offsets_of) for trial in ranked]
    top = np.array(is_top, dtype=bool)
    names = dict.fromkeys(name for counted in counts for name in counted)
    found = [_feature(name, [counted.get(name, Counter[str]()) for counted in counts], top) for name in names]
    levels, positions = _positions([trial.spec for trial in trials], top)
    features = tuple(feature for feature in found if len(feature.options) > 1)
    return Learned(len(trials), int(top.sum()), features, levels, positions)


def _counts(trial: Trial, offsets_of: Callable[[Trial], Sequence[int]] | None) -> dict[str, Counts]:
    """Count the options of one architecture, by what is counted."""
    blocks = trial.spec.blocks
    steps: dict[bool, Counts] = {False: Counter(), True: Counter()}
    for feature, block in enumerate(blocks, start=NUM_STEM_PARENTS):
        steps[block.is_output].update(str(feature - parent) for parent in block.parents)
    return {
        "level of an intermediate block": Counter(str(block.level) for block in blocks if not block.is_output),
        "kind of a block": Counter(str(block.kind) for block in blocks),
        "level offset against the base": Counter(map(str, offsets_of(trial) if offsets_of is not None else ())),
        "steps back to a parent, intermediate blocks": steps[False],
        "steps back to a parent, outputs": steps[True],
    }


def _feature(name: str, counts: Sequence[Counts], is_top: NDArray[np.bool_]) -> Feature:
    found = {option for counted in counts for option in counted}
    # Numbers, some of them negative, in their own order; names by the alphabet.
    options = sorted(found, key=lambda option: (int(option) if option.lstrip("-").isdigit() else 0, option))
    table = np.array([[counted[option] for option in options] for counted in counts], dtype=np.float64)
    if not options or not table[is_top].sum():
        return Feature(name, (), (), (), (), ())
    low, high = _interval(table[is_top]) if is_top.sum() >= _MIN_FOR_INTERVAL else (np.empty(0), np.empty(0))
    return Feature(
        name=name,
        options=tuple(options),
        of_all=_shares(table.sum(axis=0)),
        of_top=_shares(table[is_top].sum(axis=0)),
        low=tuple(np.round(low, 4).tolist()),
        high=tuple(np.round(high, 4).tolist()),
    )


def _shares(totals: Floats) -> tuple[float, ...]:
    return tuple(np.round(totals / totals.sum(), 4).tolist())


def _interval(table: Floats) -> tuple[Floats, Floats]:
    """Return the interval of the shares of (N, K) counts, the N architectures drawn again with repetition."""
    num = len(table)
    weights = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=NUM_RESAMPLES)
    totals = weights @ table
    low, high = np.percentile(totals / totals.sum(axis=1, keepdims=True), PERCENTILES, axis=0)
    return low, high


def _positions(
    specs: Sequence[ArchSpec], is_top: NDArray[np.bool_]
) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    if len({len(spec.blocks) for spec in specs}) != 1:
        return (), ()
    placed = np.array([[block.level for block in spec.blocks] for spec in specs])
    levels = np.unique(placed)
    more = [(placed[is_top] == level).mean(axis=0) - (placed == level).mean(axis=0) for level in levels]
    return tuple(levels.tolist()), tuple(tuple(np.round(row, 4).tolist()) for row in more)
