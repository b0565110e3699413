"""A surrogate: what training an architecture would have given, by a forest over the recorded trainings of others."""

from pathlib import Path

import numpy as np

from foundation import InputError, short_path
from proxy_tasks.base import BadSpecError
from proxy_tasks.networks.additive_cost import DetectorCosts
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.released.class_names import MAX_CLASSES
from proxy_tasks.surrogate.distance import Neighbourhood
from proxy_tasks.surrogate.forest import Features, Floats, grow_forest
from proxy_tasks.surrogate.quality import Quality, kendall_tau_b, r_squared
from proxy_tasks.surrogate.recorded import Recorded
from search_space import ArchSpec
from search_space.features import features_of_all

NUM_FOLDS = 10
TREES_PER_FOLD = 20


class Surrogate:
    """Answers for any architecture that is like the recorded ones.

    Args:
        recorded: those.
        path: file of the table, for messages.

    Attributes:
        recorded: those.
        neighbourhood: how far an architecture is from them.

    Raises:
        InputError: the recorded costs are not those that this version counts.
    """

    def __init__(self, recorded: Recorded, path: Path) -> None:
        self.recorded = recorded
        self._described = features_of_all(recorded.specs)
        features = np.array([self._described.of(spec) for spec in recorded.specs], np.float32)
        self.neighbourhood = Neighbourhood(self._described.names, features)

        # Architectures are parted, not trainings: another seed of one would tell what it scores.
        folds = np.random.default_rng(0).permutation(np.arange(len(features)) % NUM_FOLDS)
        self._forest = grow_forest(features, recorded.figures, folds, TREES_PER_FOLD)
        self._held_out = self._forest.held_out(features, folds)[:, 0]
        self._costs = _counter(recorded, path)

    def features(self, spec: ArchSpec) -> Features:
        """Return the (F,) features of an architecture.

        Raises:
            BadSpecError: it has a block of a kind, an output of a level or a number of blocks that none recorded has.
        """
        try:
            return np.array(self._described.of(spec), np.float32)
        except KeyError as error:
            raise BadSpecError(f"no architecture in the table has the feature {error.args[0]}") from None

    def predict(self, features: Features) -> Floats:
        """Return (D,) figures, in the order of the recorded ones, for (F,) features."""
        return self._forest.predict(features)

    def costs(self, spec: ArchSpec) -> dict[str, float]:
        """Return the exact costs of an architecture's detector.

        Raises:
            BadSpecError: it cannot be built.
        """
        try:
            cost = self._costs.of(spec)
        except ValueError as error:
            raise BadSpecError(str(error)) from error
        return {"macs": float(cost.macs), "params": float(cost.params)}

    def quality(self) -> tuple[Quality, Quality, Quality]:
        """Return R2, Kendall's tau, and tau within the better half, of AP of architectures that trees had not seen."""
        true = self.recorded.figures[:, 0]
        # None is above the median where half of them are equally good: the better half are those then.
        median = np.median(true)
        is_better = true > median if true.max() > median else true == median
        return (
            r_squared(true, self._held_out),
            kendall_tau_b(true, self._held_out),
            kendall_tau_b(true[is_better], self._held_out[is_better]),
        )


def _counter(recorded: Recorded, path: Path) -> DetectorCosts:
    """Return what counts networks of the recorded scale, for as many classes as the recorded costs tell.

    Raises:
        InputError: these are costs of other networks.
    """
    first, scale = recorded.specs[0], recorded.scale
    one, two = (detector_cost(first, scale, num_classes).params for num_classes in (1, 2))
    told = 1 + round((recorded.costs[0]["params"] - one) / (two - one))
    num_classes = min(max(told, 1), MAX_CLASSES)

    for spec, costs in ((first, recorded.costs[0]), (recorded.specs[-1], recorded.costs[-1])):
        counted = detector_cost(spec, scale, num_classes)
        for name, number in (("params", counted.params), ("macs", counted.macs)):
            if number != costs[name]:
                raise InputError(
                    f"{short_path(path)}: architecture {spec.key} has {costs[name]:.15g} {name} there, and {number} in "
                    "this version: the table is of other networks"
                )
    return DetectorCosts(scale, num_classes)
