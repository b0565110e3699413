"""Extremely randomised trees in NumPy, each grown without a part of the rows, so that every row is held out by some.

Splits are chosen by sums of whole numbers, which do not depend on the order in which a processor adds: equal rows grow
equal trees on every machine and with every library, as a ground that others compare on must.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

MIN_TO_SPLIT = 5
"""Rows that a node needs to be split: the paper's default for regression."""
_UNIT = 1e-6
"""The target is counted in whole numbers of this share of its range."""

Floats: TypeAlias = NDArray[np.float64]
Features: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forest:
    """T trees with G nodes together, over F features, which answer with D figures; a leaf is its own child.

    Attributes:
        roots: (T,) node that each tree begins with.
        feature: (G,) feature that a node looks at.
        threshold: (G,) where the feature is above it, the second child comes next.
        children: (G, 2) nodes.
        figures: (G, D) means of the rows that a node was grown from.
        folds: (T,) the part of the rows that each tree was grown without.
    """

    roots: Ints
    feature: Ints
    threshold: Features
    children: Ints
    figures: Floats
    folds: Ints

    def predict(self, features: Features) -> Floats:
        """Return (D,) figures for (F,) features, the mean over all trees."""
        mean: Floats = self.figures[self._leaves(features[None])[0]].mean(0)
        return mean

    def held_out(self, features: Features, folds: Ints) -> Floats:
        """Return (N, D) figures for (N, F) features, each row's by the trees that were grown without its fold.

        Args:
            features: of the rows that the forest was grown from.
            folds: (N,) their folds.
        """
        answers = self.figures[self._leaves(features)]  # (N, T, D)
        is_held_out = folds[:, None] == self.folds  # (N, T)
        mean: Floats = (answers * is_held_out[..., None]).sum(1) / is_held_out.sum(1)[:, None]
        return mean

    def _leaves(self, features: Features) -> Ints:
        """Return (N, T) the leaf of each tree that (N, F) features end in."""
        rows = np.arange(len(features))[:, None]
        nodes = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        while True:
            is_above = features[rows, self.feature[nodes]] > self.threshold[nodes]
            below = self.children[nodes, is_above.astype(np.int64)]
            if (below == nodes).all():
                return below
            nodes = below


def grow_forest(features: Features, figures: Floats, folds: Ints, trees_per_fold: int, seed: int = 0) -> Forest:
    """Grow trees over (N, F) features that split by the first of (N, D) figures.

    Every feature is tried at every node, with one threshold drawn between its lowest and its highest value there.

    Args:
        features: of the rows.
        figures: of the rows.
        folds: (N,) the part that each row belongs to; `trees_per_fold` trees are grown without each of these.
        trees_per_fold: number of trees.
        seed: of the thresholds.

    Source: Geurts, Ernst and Wehenkel, Extremely randomized trees (Machine Learning 63, 2006), with K = F and
    `MIN_TO_SPLIT`.
    Differs: theirs grow every tree from all rows.
    """
    target = figures[:, 0] - figures[:, 0].min()
    counted = np.round(target / (_UNIT * max(target.max(), 1e-300)))

    grower = _Grower(features, counted, figures)
    roots, without = [], []
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds != fold)
        for number in range(trees_per_fold):
            # Draws of its own: what a tree was not grown from does not reach it by way of other trees either.
            roots.append(grower.grow(rows, np.random.default_rng([seed, int(fold), number])))
            without.append(int(fold))
    return grower.forest(roots, without)


class _Grower:
    """Holds the nodes of the trees grown so far."""

    def __init__(self, features: Features, target: Floats, figures: Floats) -> None:
        self._features = features
        self._target = target
        self._figures = figures
        self._feature: list[int] = []
        self._threshold: list[np.float32] = []
        self._children: list[tuple[int, int]] = []
        self._means: list[Floats] = []

    def grow(self, rows: Ints, rng: np.random.Generator) -> int:
        """Grow a tree from some rows, and return its root."""
        split = self._split(rows, rng)
        if split is None:
            return self._add(0, np.float32(0), rows, None)

        # Children first: a node knows theirs. No path is longer than there are rows, in practice some twenty.
        feature, threshold = split
        is_above = self._features[rows, feature] > threshold
        children = self.grow(rows[~is_above], rng), self.grow(rows[is_above], rng)
        return self._add(feature, threshold, rows, children)

    def forest(self, roots: Sequence[int], folds: Sequence[int]) -> Forest:
        """Return all trees."""
        return Forest(
            roots=np.array(roots),
            feature=np.array(self._feature),
            threshold=np.array(self._threshold, np.float32),
            children=np.array(self._children),
            figures=np.array(self._means),
            folds=np.array(folds),
        )

    def _add(self, feature: int, threshold: np.float32, rows: Ints, children: tuple[int, int] | None) -> int:
        node = len(self._feature)
        self._feature.append(feature)
        self._threshold.append(threshold)
        self._children.append((node, node) if children is None else children)
        self._means.append(self._figures[rows].mean(0))
        return node

    def _split(self, rows: Ints, rng: np.random.Generator) -> tuple[int, np.float32] | None:
        """Return the feature and the threshold that leave the least variance; None for a leaf."""
        target = self._target[rows]
        if len(rows) < MIN_TO_SPLIT or (target == target[0]).all():
            return None

        features = self._features[rows]  # (n, F)
        lowest = features.min(0)
        thresholds = lowest + (features.max(0) - lowest) * rng.random(features.shape[1], np.float32)
        is_above = features > thresholds

        # Of a feature that is equal in all rows nothing is above; it splits nothing.
        num_above, sum_above = is_above.sum(0), target @ is_above
        splits = np.flatnonzero((num_above > 0) & (num_above < len(rows)))
        if not len(splits):
            return None

        # The sum of squares around both means is least where this is largest.
        above, sums = num_above[splits], sum_above[splits]
        explained = sums**2 / above + (target.sum() - sums) ** 2 / (len(rows) - above)
        best = splits[explained.argmax()]
        return int(best), thresholds[best]
