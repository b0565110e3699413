"""A closed-form score over architectures, in microseconds: for tests, controllers' benchmarks and demonstrations.

It is built from what the paper reports to matter, so a controller that cannot climb it will hardly find a SpineNet. It
is no evidence about detectors: no image is looked at and nothing is trained.
"""

from dataclasses import dataclass

import numpy as np

from proxy_tasks.base import Evaluation, Fidelity, Report
from search_space import ArchSpec
from search_space.spec import MAX_LEVEL, NUM_STEM_PARENTS, live_blocks

LONG_RANGE = 4
"""Steps back from which a connection into an output counts as long."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Scores a spec by its wiring; the highest possible score is 1.

    With every term in [0, 1], `score = live * (0.4 * deep + 0.3 * long + 0.1 * mixed + 0.2 * deep * long)`:

    - deep: share of the live intermediate blocks that take the feature just before them,
    - long: share of the outputs' connections that reach back `LONG_RANGE` features or more,
    - mixed: number of different levels among the live blocks, over 7,
    - live: share of the blocks that reach an output.

    Attributes:
        noise: standard deviation of what is added to the score, drawn from spec and seed; falls with the root of the
            epochs.

    Source: SpineNet (arXiv 1912.05027), sections 3 and 5.3, for the terms; the weights are ours.
    """

    noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise ValueError(f"noise must be 0 or more, got {self.noise}")

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The score is called AP, so that rewards need no change."""
        return ("ap",)

    def prepare(self, report: Report) -> None:
        """Return: nothing is needed."""

    def evaluate(self, spec: ArchSpec, *, fidelity: Fidelity, seed: int) -> Evaluation:
        """Score one spec; see `ProxyTask.evaluate`."""
        ap = true_score(spec)
        if self.noise:
            rng = np.random.default_rng([int(spec.key, 16), seed])
            ap += self.noise * rng.standard_normal() / np.sqrt(fidelity.epochs)
        return Evaluation({"ap": float(np.clip(ap, 0, 1))})


def true_score(spec: ArchSpec) -> float:
    """Return the score without noise, in [0, 1]."""
    live = live_blocks(spec)
    # Positions among what is built, so that equal keys have equal scores.
    place = {f: f for f in range(NUM_STEM_PARENTS)} | {b.feature: NUM_STEM_PARENTS + i for i, b in enumerate(live)}
    inner = [block for block in live if not block.is_output]
    deep = sum(place[b.feature] - 1 in [place[p] for p in b.parents] for b in inner) / max(len(inner), 1)
    steps = [place[block.feature] - place[parent] for block in live if block.is_output for parent in block.parents]
    long_range = sum(step >= LONG_RANGE for step in steps) / len(steps)
    mixed = len({spec.features[block.feature].level for block in live}) / MAX_LEVEL
    share_live = len(live) / (len(spec.features) - NUM_STEM_PARENTS)
    return share_live * (0.4 * deep + 0.3 * long_range + 0.1 * mixed + 0.2 * deep * long_range)
