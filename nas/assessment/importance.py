"""Permutation importance: which features of architectures a model of their rewards could not do without.

The model is a forest, each tree grown without a part of the architectures and asked for that part alone. Then the
values of some features are shuffled among the architectures, and what the model loses by it is what only they told it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.assessment.correlation import Floats
from nas.assessment.interval import Estimate, estimate
from proxy_tasks.surrogate.forest import Features, grow_forest
from search_space import Candidate
from search_space.features import features_of_all, scale_features

MAX_ARCHITECTURES = 500
"""Most architectures that the model is fitted to: growing and asking it takes one to two seconds then."""
_NUM_FOLDS = 5
_TREES_PER_FOLD = 10
_NUM_SHUFFLES = 5

_SORTS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"built|leftovers", lambda _: "numbers of blocks and leftovers"),
    (r"intermediate\..*", lambda _: "levels and kinds of the intermediate blocks"),
    (r"output\..*", lambda _: "kinds of the outputs"),
    (r"steps_back\d+", lambda _: "how far connections reach back"),
    (r"level_difference.*", lambda _: "level differences along connections"),
    (r"(?:depth|shortest)\.level(\d+)", lambda found: f"lengths of the paths to the output of level {found[1]}"),
    (r"bottleneck\.level(\d+)", lambda found: f"resolution of the path to the output of level {found[1]}"),
    (r"neighbourhood\d+", lambda _: "which blocks read which"),
    (r"scale\.(.*)", lambda found: f"the scale's {found[1]}"),
    (r"place\d+\..*", lambda _: "which block stands where, and what it reads"),
)
"""Features that say one thing, by their names, and what that is; docs/features.md has each."""


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """The importance of some features.

    Attributes:
        title: what they say.
        lost: R squared that the model loses without them; above its whole where it then says worse than nothing.
    """

    title: str
    lost: Estimate


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of all features that vary, the largest first.

    Attributes:
        num_architectures: that the model was fitted to.
        explained: share of the variance of rewards that it explains of architectures that it has not seen (R squared).
        features: what each part of it rests on.
    """

    num_architectures: int
    explained: Estimate
    features: tuple[FeatureImportance, ...]


def importance_of(candidates: Sequence[Candidate], rewards: Sequence[float]) -> Importance:
    """Return the importance of features for (N,) rewards that compare, of N different architectures, 5 or more.

    Figures are NaN where these are all equal. Of more than `MAX_ARCHITECTURES` some are drawn. Intervals are by
    bootstrap over architectures, the model being given: they say how sure the figure is for this model, not how other
    models would differ.

    Source: Breiman, Random Forests (Machine Learning 45, 2001), section 10.
    Differs: features that say one thing are shuffled together, as the model would read one off the other.
    """
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(candidates))[:MAX_ARCHITECTURES])
    names, features = _features([candidates[i] for i in chosen])
    target = np.array([rewards[i] for i in chosen], dtype=np.float64)
    # Shares of a variance have no unit, and squares in some units are no numbers.
    target = (target - target.min()) / (np.ptp(target) or 1.0)

    folds = rng.permutation(np.arange(len(target)) % _NUM_FOLDS)
    forest = grow_forest(features, target[:, None], folds, _TREES_PER_FOLD)

    def errors(of: Features) -> Floats:
        squared: Floats = (forest.held_out(of, folds)[:, 0] - target) ** 2
        return squared

    own = errors(features)
    explained = estimate(lambda error, value: 1 - _share(error, value), own, target)
    found = []
    for title, columns in _sorts_of(names).items():
        if not features[:, columns].std(0).any():
            continue
        shuffled = np.mean([errors(_shuffled(features, columns, rng)) for _ in range(_NUM_SHUFFLES)], axis=0)
        lost = estimate(_share, shuffled - own, target)
        found.append(FeatureImportance(title, lost))
    return Importance(len(target), explained, tuple(sorted(found, key=lambda one: -one.lost.value)))


def _share(squares: Floats, values: Floats) -> Floats:
    """Return the mean of (..., N) squares as a share of the variance of (..., N) values; not finite without any."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = squares.mean(-1) / values.var(-1)
    return share


def _features(candidates: Sequence[Candidate]) -> tuple[tuple[str, ...], Features]:
    """Return the names of features that fit all architectures, (F,), and their values, (N, F)."""
    described = features_of_all([candidate.spec for candidate in candidates])
    scales = [scale_features(candidate.scale) for candidate in candidates]
    rows = [(*described.of(one.spec), *scale.values()) for one, scale in zip(candidates, scales, strict=True)]
    return (*described.names, *scales[0]), np.array(rows, np.float32)


def _sorts_of(names: Sequence[str]) -> Mapping[str, list[int]]:
    """Return the positions of the features that say one thing, by what they say; the others have their own names."""
    sorts: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        matches = ((re.fullmatch(pattern, name), title) for pattern, title in _SORTS)
        title = next((title(found) for found, title in matches if found is not None), name)
        sorts.setdefault(title, []).append(position)
    return sorts


def _shuffled(features: Features, columns: Sequence[int], rng: np.random.Generator) -> Features:
    """Return (N, F) features with some columns from other rows, all of a row's from the same one."""
    shuffled = features.copy()
    shuffled[:, columns] = features[rng.permutation(len(features))][:, columns]
    return shuffled
