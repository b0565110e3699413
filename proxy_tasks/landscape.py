"""A closed-form score over architectures, in microseconds: for tests, controllers' benchmarks and demonstrations.

It rewards what the paper reports to matter, and it is rugged, so a controller that cannot climb it will hardly find a
SpineNet. It is no evidence about detectors: no image is looked at and nothing is trained. A controller that does better
here may do worse on AP, and figures of two different landscapes cannot be compared.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from foundation import check_seed
from proxy_tasks.base import (
    NO_WEIGHTS,
    Evaluation,
    Fidelity,
    NonFiniteLossError,
    Numerics,
    OptionRules,
    Report,
    Weights,
)
from search_space import ArchSpec, BlockSpec, Candidate, ModelScale, ScalePermutedSpace, published_spec, resnet_seed
from search_space.kinds import MAX_LEVEL, kind_named
from search_space.spec import NUM_STEM_PARENTS, LiveBlock, live_blocks

CEILING = 1.0
"""The highest score there is; `ceiling_spec` reaches it."""
NUM_INTERMEDIATES = 10
"""Intermediate blocks in the SpineNet space."""
LONG_RANGE = 6
"""Steps back from which a connection into an output counts as fully long; the stem is 2 to 16 steps away."""
_FIRST_KINDS = ("bottleneck", "residual", "mbconv")
"""The kinds whose affinities are drawn together, in this order, whatever other kinds there are."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Scores a spec by its wiring, its levels and its kinds; see `true_score` for the formula.

    Attributes:
        seed: which landscape: of the affinities between levels and kinds.
        noise: standard deviation of what is added to the score, drawn from spec and training seed; falls with the root
            of the epochs. The result is kept in [0, 1].
        failure_rate: share of the evaluations that fail as if training had diverged, drawn from spec and seed.

    Raises:
        ValueError: a value out of range.
    """

    seed: int = 0
    noise: float = 0.0
    failure_rate: float = 0.0

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must be 0 or more, got {self.noise}")
        if not 0 <= self.failure_rate <= 1:
            raise ValueError(f"failure_rate must be 0 to 1, got {self.failure_rate}")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the figures that `evaluate` gives; the score is called AP, as rewards expect."""
        return ("ap", "macs", "params")

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Names of the figures that `costs` gives."""
        return ("macs", "params")

    @property
    def option_rules(self) -> OptionRules:
        """Rules for no option: every option shapes the score. Only its noise depends on the training."""
        return OptionRules(ignores_training=self.noise == 0)

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Return at once: nothing is needed."""
        return ()

    def load(self) -> None:
        """Return at once: nothing is needed."""

    def numerics(self) -> Numerics | None:
        """Return None: a formula gives the same score everywhere."""
        return None

    def verify(self, report: Report) -> None:
        """Return at once: there is nothing to read."""

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return what the blocks' own convolutions cost, without resampling and head.

        At scale 1 and 640 px where the candidate has no scale. A block of width w has `BlockKind.cost` times w^2
        weights: 17 w^2 if it is a bottleneck, else mostly 18 w^2.
        """
        spec, scale = candidate.spec, candidate.scale or ModelScale()
        built = [spec.features[live.feature] for live in live_blocks(spec)]

        macs = params = 0.0
        for block in (*spec.stem, *built):
            width = scale.block_width(block.level, block.kind)
            weights = scale.block_repeats * kind_named(block.kind).cost * width**2
            params += weights
            macs += weights * (scale.image_size_px / 2**block.level) ** 2
        return {"macs": macs, "params": params}

    def score(self, spec: ArchSpec) -> float:
        """Return the score without noise, in [0, 1]."""
        return true_score(spec, self.seed)

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Score one candidate, of which no weights exist; see `ProxyTask.evaluate`."""
        ap = self.score(candidate.spec)
        if candidate.scale is not None:
            ap *= scale_factor(candidate.scale)

        if self.noise or self.failure_rate:
            # Equal specs get equal noise, as a known key is not scored again.
            rng = np.random.default_rng([int(candidate.key, 16), seed])
            if rng.random() < self.failure_rate:
                raise NonFiniteLossError(f"one of the {self.failure_rate:.0%} of evaluations that fail here")
            ap += self.noise * rng.standard_normal() / math.sqrt(fidelity.epochs)

        return Evaluation({"ap": min(max(ap, 0.0), 1.0), **self.costs(candidate)})

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """SpineNet-49 alone: a network that is no spec has no score here."""
        return ("spinenet-49",)

    def evaluate_baseline(self, name: str, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Score a published spec; see `BaselineTask.evaluate_baseline`."""
        return self.evaluate(Candidate(published_spec(name)), fidelity=fidelity, seed=seed)


def true_score(spec: ArchSpec, seed: int = 0) -> float:
    """Return the score without noise, in [0, 1].

    With every term in [0, 1], over what is really built:

        score = kept * (0.15 deep + 0.15 long + 0.1 mixed + 0.2 deep * long + 0.4 fit * (1 + mixed) / 2)

    - kept: number of intermediate blocks that reach an output, over `NUM_INTERMEDIATES`, at most 1;
    - deep: share of them that take the feature just before them;
    - long: how far back the longest connection of each output reaches, `LONG_RANGE` steps or more being 1; their mean;
    - mixed: share of the intermediate blocks whose level is not that of the one before;
    - fit: mean over all blocks of an affinity that depends on the block's level and kind and on the levels of its two
      parents together. Affinities are drawn from the seed, uniform in [0, 1], so changing the level of one block
      changes what its children are worth: interactions that no single decision shows, as in Kauffman's NK landscapes.
      Those that occur in `ceiling_spec(seed)` are 1. Those of a kind from outside the package are drawn from the seed
      and its name, so that the score of an architecture does not depend on which other kinds there are.

    Source: SpineNet (arXiv 1912.05027), sections 3 and 5.3, for the terms; the weights and affinities are ours.
    """
    live = live_blocks(spec)

    # Positions among what is built, so that equal keys have equal scores.
    position = {f: f for f in range(NUM_STEM_PARENTS)}
    position |= {block.feature: NUM_STEM_PARENTS + i for i, block in enumerate(live)}
    steps = [[position[block.feature] - position[parent] for parent in block.parents] for block in live]

    inner = [(block, back) for block, back in zip(live, steps, strict=True) if not block.is_output]
    levels = [spec.features[block.feature].level for block, _ in inner]
    kept = min(1.0, len(inner) / NUM_INTERMEDIATES)
    deep = _mean([1 in back for _, back in inner])
    mixed = _mean([a != b for a, b in pairwise(levels)])

    far = [max(back) for block, back in zip(live, steps, strict=True) if block.is_output]
    long = _mean([min(1.0, (step - 1) / (LONG_RANGE - 1)) for step in far])

    fit = _mean([_fit(spec, block, seed) for block in live])
    return float(kept * (0.15 * deep + 0.15 * long + 0.1 * mixed + 0.2 * deep * long + 0.4 * fit * (1 + mixed) / 2))


def scale_factor(scale: ModelScale) -> float:
    """Return the share of the score that a network has at a scale, above 0 and below 1.

    Each of seven sizes, in units of SpineNet-49's, gains less the larger it is: `r / (1 + r)`. Their geometric mean
    grows most by the smallest, so that within a budget balanced scales are best, as in compound scaling.
    """
    base = ModelScale()
    ratios = (
        scale.width_multiplier / base.width_multiplier,
        scale.resample_alpha / base.resample_alpha,
        scale.block_repeats / base.block_repeats,
        scale.image_size_px / base.image_size_px,
        scale.endpoint_width / base.endpoint_width,
        scale.head_width / base.head_width,
        (1 + scale.num_head_convs) / (1 + base.num_head_convs),
    )
    return math.prod(ratio / (1 + ratio) for ratio in ratios) ** (1 / len(ratios))


def ceiling_spec(seed: int = 0) -> ArchSpec:
    """Return an architecture of the SpineNet space whose score is `CEILING` in the landscape of this seed."""
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    rng = np.random.default_rng([seed, 0])

    # Levels that change at every step make `mixed` 1; the first sample that has them is taken.
    while True:
        spec = space.decode(space.sample(rng)).spec
        inner = [block.level for block in spec.blocks if not block.is_output]
        if all(a != b for a, b in pairwise(inner)):
            break

    blocks = []
    for i, block in enumerate(spec.blocks):
        last = NUM_STEM_PARENTS + i - 1
        # Each intermediate takes the feature just before it, which makes `deep` and `kept` 1; each output one far back,
        # which makes `long` 1.
        if not block.is_output:
            parents = (last, int(rng.integers(max(0, last - 4), last)))
        else:
            far = int(rng.integers(last + 2 - LONG_RANGE))
            # The first output takes the last intermediate block, the only one that no other block takes.
            near = last if not spec.blocks[i - 1].is_output else int(rng.integers(far + 1, last + 1))
            parents = (far, near)
        blocks.append(BlockSpec(block.level, block.kind, parents, block.is_output))

    return ArchSpec(spec.stem, tuple(blocks))


def _fit(spec: ArchSpec, live: LiveBlock, seed: int) -> float:
    """Return the mean affinity of a block with each pair of its parents."""
    block = spec.features[live.feature]
    affinities = _affinities(seed, block.kind)
    return _mean([affinities[block.level, low, high] for low, high in _parent_levels(spec, live)])


@lru_cache(maxsize=64)
def _affinities(seed: int, kind: str) -> NDArray[np.float64]:
    """Return the affinity of blocks of a kind, by level, lower and higher level of two parents: (L, L, L)."""
    if kind in _FIRST_KINDS:
        return _first_affinities(seed)[:, _FIRST_KINDS.index(kind)]
    rng = np.random.default_rng([seed, 2, zlib.crc32(kind.encode())])
    return rng.random((MAX_LEVEL + 1, MAX_LEVEL + 1, MAX_LEVEL + 1))


@lru_cache(maxsize=8)
def _first_affinities(seed: int) -> NDArray[np.float64]:
    """Return the affinity of each level, kind, lower and higher level of two parents: (L, 3, L, L)."""
    shape = (MAX_LEVEL + 1, len(_FIRST_KINDS), MAX_LEVEL + 1, MAX_LEVEL + 1)
    table = np.random.default_rng([seed, 1]).random(shape)

    best = ceiling_spec(seed)
    for live in live_blocks(best):
        block = best.features[live.feature]
        for low, high in _parent_levels(best, live):
            table[block.level, _FIRST_KINDS.index(block.kind), low, high] = 1.0
    return table


def _parent_levels(spec: ArchSpec, live: LiveBlock) -> list[tuple[int, int]]:
    """Return lower and higher level of each pair of a block's parents; an only parent stands for both."""
    levels = sorted(spec.features[parent].level for parent in live.parents)
    return list(combinations(levels, 2)) or [(levels[0], levels[0])]


def _mean(values: Sequence[float]) -> float:
    """Return the mean; 1 where there are no values, as nothing is missing."""
    return sum(values) / len(values) if values else 1.0
