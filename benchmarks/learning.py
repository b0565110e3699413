"""A landscape with a loss that falls and tells most of the score, in microseconds: for searches that stop trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, LossLimit, Weights
from proxy_tasks.base import parts_at
from proxy_tasks.landscape import Landscape
from search_space import ArchSpec, Candidate

NUM_PARTS = 20


@dataclass(frozen=True, slots=True)
class Learning(Landscape):
    """The landscape with a loss that falls from 3 to about 1 less the score.

    Attributes:
        loss_noise: standard deviation of what is added to each architecture's losses.
    """

    loss_noise: float = 0.02

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Score one spec, with its whole curve."""
        found = Landscape.evaluate(self, candidate, fidelity=fidelity, seed=seed)
        return Evaluation(found.metrics, {"train": 20.0}, self._curve(candidate.spec))

    def evaluate_within(
        self,
        candidate: Candidate,
        *,
        fidelity: Fidelity,
        seed: int,
        loss_limits: Sequence[LossLimit],
        weights: Weights = NO_WEIGHTS,
    ) -> Evaluation:
        """Score one spec, unless its loss is above a limit; see `StoppableTask.evaluate_within`."""
        curve = self._curve(candidate.spec)
        for num_done, max_loss in sorted((parts_at(limit.share, NUM_PARTS), limit.max_loss) for limit in loss_limits):
            if curve[num_done - 1] > max_loss:
                share = num_done / NUM_PARTS
                return Evaluation(self.costs(candidate), {"train": 20 * share}, curve[:num_done], stopped_at=share)
        return self.evaluate(candidate, fidelity=fidelity, seed=seed)

    def _curve(self, spec: ArchSpec) -> tuple[float, ...]:
        noise = self.loss_noise * np.random.default_rng(int(spec.key, 16)).standard_normal(NUM_PARTS)
        reached = 1 - self.score(spec)
        return tuple(float(reached + 2 / (part + 1) + noise[part]) for part in range(NUM_PARTS))
