"""The lessons of a search: how often each option occurs in its best architectures, against all of them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.record.trial import Trial, best_trials
from nas.reporting.bootstrap import share_interval
from nas.reporting.runs import ReportedRun
from search_space import ArchSpec, Decision, kind_names
from search_space.spec import NUM_STEM_PARENTS

TOP_SHARE = 0.1
MIN_TOP = 5
"""Fewest architectures of which shares have an interval: of fewer a bootstrap says next to nothing."""
MIN_ARCHITECTURES = round(MIN_TOP / TOP_SHARE)
"""Fewest architectures from which a group's lessons are drawn."""

_LEVEL = "level of an intermediate block"
_HEADINGS: Mapping[str, str] = {
    "kind": "kind of a block",
    "level_offset": "level offset against the base",
    "parent": "steps back to a parent",
}
"""Headings of known families of decisions, in the report's order; others go by their own word and come after these."""
_SPLIT_BY_ROLE = ("parent",)
"""Families counted for intermediate blocks and outputs apart: outputs reach back to the start, others often do not."""

Counts: TypeAlias = Counter[str]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """The frequency of each of K options, as shares that add up to 1.

    Attributes:
        name: what is counted.
        options: (K,) in order.
        of_all: (K,) share among all architectures.
        of_top: (K,) share among the best tenth.
        low, high: (K,) 95 % interval of `of_top`, by bootstrap over architectures.
    """

    name: str
    options: tuple[str, ...]
    of_all: tuple[float, ...]
    of_top: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """The lessons of one group of runs.

    Attributes:
        num_all: different architectures with a reward.
        num_top: those of them in the best tenth, which is taken in each run.
        features: what is counted.
        levels: levels to which the rows of `positions` belong.
        positions: for each level, at each position, share of the best tenth that has it there, less the share of all;
            empty where architectures differ in length.
    """

    num_all: int
    num_top: int
    features: tuple[Feature, ...]
    levels: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]


def learned_by_group(runs: Sequence[ReportedRun]) -> Mapping[str, Learned]:
    """Return what each group learned; without groups that have too few architectures to say."""
    members: dict[str, list[ReportedRun]] = {}
    for run in runs:
        members.setdefault(run.group, []).append(run)

    found = {group: _learned(runs_of_group) for group, runs_of_group in members.items()}
    return {group: learned for group, learned in found.items() if learned.num_all >= MIN_ARCHITECTURES}


def runs_without_decisions(runs: Sequence[ReportedRun]) -> list[str]:
    """Return the names of the runs whose records do not say what their space decides: those of older versions."""
    return [run.name for run in runs if not run.record.created.decisions]


def family_of(decision: Decision) -> str:
    """Return the word that decisions of one sort share: `parent` for `block3.parent1`."""
    word = decision.name.rpartition(".")[2]
    return word.rstrip("0123456789") or word or decision.name


def _learned(runs: Sequence[ReportedRun]) -> Learned:
    specs: list[ArchSpec] = []
    is_top: list[bool] = []
    counted: list[_RunCounts] = []
    for run in runs:
        # The best tenth is taken in each run: its rewards may not compare with those of the others.
        ranked = best_trials(run.record.trials)
        num_top = np.ceil(TOP_SHARE * len(ranked))

        # In step: entry n of specs, of marks and of counts belongs to the same architecture.
        specs += [trial.spec for trial in ranked]
        is_top += [rank < num_top for rank in range(len(ranked))]
        counted.append(_count_run(run.record.created.decisions, ranked))

    top = np.array(is_top, dtype=bool)
    levels, positions = _positions(specs, top)
    return Learned(len(specs), int(top.sum()), _features(counted, top), levels, positions)


@dataclass(frozen=True, slots=True)
class _RunCounts:
    """The choices of one run's architectures.

    Attributes:
        options: the words that can be counted, in order, by the name of the feature.
        counts: counted words of each architecture, by the name of the feature.
    """

    options: Mapping[str, Sequence[str]]
    counts: Sequence[Mapping[str, Counts]]

    def says_something(self, name: str) -> bool:
        """Return whether architectures differ in a feature: an order of levels, say, has each as often in all."""
        return any(counts.get(name) != self.counts[0].get(name) for counts in self.counts)


def _count_run(decisions: Sequence[Decision], ranked: Sequence[Trial]) -> _RunCounts:
    """Count the options of each architecture, from the decisions on record and from its spec."""
    names = [_feature_name(decision, ranked) for decision in decisions]
    counts = [_count_options(trial, decisions, names) for trial in ranked]

    # Words stand in the order of their space; an older version's record has none, and kinds that of their table.
    options: dict[str, dict[str, None]] = {} if decisions else {_HEADINGS["kind"]: dict.fromkeys(kind_names())}
    for name, decision in zip(names, decisions, strict=True):
        options.setdefault(name, {}).update(dict.fromkeys(decision.options))

    # No decision names what is counted from specs, as levels are.
    for of_one in counts:
        for name, counted in of_one.items():
            options.setdefault(name, {}).update(dict.fromkeys(counted))
    return _RunCounts({name: list(words) for name, words in options.items()}, counts)


def _feature_name(decision: Decision, trials: Sequence[Trial]) -> str:
    """Return the name under which a decision's options are counted."""
    family = family_of(decision)
    heading = _HEADINGS.get(family, family)
    block = re.match(r"block(\d+)\.", decision.name)
    if block is None or family not in _SPLIT_BY_ROLE:
        return heading

    position = int(block[1])
    is_output = {trial.spec.blocks[position].is_output for trial in trials if position < len(trial.spec.blocks)}
    # Where the block is an output in some architectures only, the decision has no side.
    if len(is_output) != 1:
        return heading
    return f"{heading}, outputs" if is_output == {True} else f"{heading}, intermediate blocks"


def _count_options(trial: Trial, decisions: Sequence[Decision], names: Sequence[str]) -> dict[str, Counts]:
    counts: defaultdict[str, Counts] = defaultdict(Counter)
    counts[_LEVEL].update(str(block.level) for block in trial.spec.blocks if not block.is_output)
    if not decisions:
        counts.update(_count_spec(trial.spec))

    # A record that was edited by hand may hold decisions that are not of its space.
    chosen = trial.proposal.decisions
    if len(chosen) != len(decisions):
        return counts
    for name, decision, option in zip(names, decisions, chosen, strict=True):
        if 0 <= option < decision.num_options:
            counts[name][decision.options[option]] += 1
    return counts


def _count_spec(spec: ArchSpec) -> dict[str, Counts]:
    """Count what the spec itself says of its decisions, for a run of an older version that has no words for them."""
    kind, steps_back = _HEADINGS["kind"], _HEADINGS["parent"]
    counts: dict[str, Counts] = {kind: Counter(block.kind for block in spec.blocks)}
    for feature, block in enumerate(spec.blocks, start=NUM_STEM_PARENTS):
        role = "outputs" if block.is_output else "intermediate blocks"
        steps = counts.setdefault(f"{steps_back}, {role}", Counter())
        steps.update(str(feature - parent) for parent in block.parents)
    return counts


def _features(runs: Sequence[_RunCounts], is_top: NDArray[np.bool_]) -> tuple[Feature, ...]:
    # Dictionaries as ordered sets: options keep the order in which their spaces list them.
    options: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, words in run.options.items():
            options.setdefault(name, {}).update(dict.fromkeys(words))

    features = []
    for name in sorted(options, key=_feature_order):
        if any(run.says_something(name) for run in runs):
            counts = [of_one.get(name, Counter[str]()) for run in runs for of_one in run.counts]
            feature = _feature(name, _in_order(options[name]), counts, is_top)
            if len(feature.options) > 1:
                features.append(feature)
    return tuple(features)


def _feature_order(name: str) -> int:
    """Return where a feature stands: those with a heading in the order of the headings, then all others."""
    headings = (_LEVEL, *_HEADINGS.values())
    return next((number for number, heading in enumerate(headings) if name.startswith(heading)), len(headings))


def _in_order(words: Iterable[str]) -> list[str]:
    """Return numbers, some of them negative, in their own order; other words in that of their space."""
    words = list(words)
    are_numbers = all(re.fullmatch(r"-?\d+", word) for word in words)
    return sorted(words, key=int) if are_numbers else words


def _feature(name: str, words: Sequence[str], counts: Sequence[Counts], is_top: NDArray[np.bool_]) -> Feature:
    # Options that no architecture has would only be empty bars.
    occurring = {option for counted in counts for option in counted}
    options = [word for word in words if word in occurring]
    table = np.array([[counted[option] for option in options] for counted in counts], dtype=np.float64)  # (N, K)

    # A run of an older version has architectures of which nothing is known.
    is_counted = table.any(axis=1)
    top = table[is_top & is_counted]
    if len(top) < MIN_TOP:
        return Feature(name, (), (), (), (), ())

    low, high = share_interval(top)
    return Feature(
        name=name,
        options=tuple(options),
        of_all=_shares(table.sum(axis=0)),
        of_top=_shares(top.sum(axis=0)),
        low=tuple(np.round(low, 4).tolist()),
        high=tuple(np.round(high, 4).tolist()),
    )


def _shares(totals: Floats) -> tuple[float, ...]:
    return tuple(np.round(totals / totals.sum(), 4).tolist())


def _positions(
    specs: Sequence[ArchSpec], is_top: NDArray[np.bool_]
) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    # A position means the same in all architectures only where they have equally many blocks.
    if len({len(spec.blocks) for spec in specs}) != 1:
        return (), ()

    found = np.array([[block.level for block in spec.blocks] for spec in specs])  # (N, number of blocks)
    levels = np.unique(found)
    more = [(found[is_top] == level).mean(axis=0) - (found == level).mean(axis=0) for level in levels]
    return tuple(levels.tolist()), tuple(tuple(np.round(shares, 4).tolist()) for shares in more)
