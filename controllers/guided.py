"""Guided search: mutants of the best, and among them the one that a model of all results draws as the best."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heappush, heapreplace
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from controllers.base import Proposal
from controllers.feature_scale import feature_scale
from controllers.gaussian_process import Floats, GaussianProcess, Hyperparameters, likeliest
from foundation import check_range
from search_space import Decisions, SearchSpace

Model: TypeAlias = Literal["gaussian_process", "none"]

MAX_FITTED = 512
"""Most results that a model is fitted to: half of them the best, half the latest of the others."""
MAX_WEIGHED = 256
"""Most results that hyperparameters are chosen by."""
NUM_TRIES = 4
"""Mutants drawn for each candidate, at most, to find one whose result is not known."""


@dataclass(frozen=True, slots=True)
class _Result:
    decisions: Decisions
    reward: float


@dataclass(frozen=True, slots=True)
class _Model:
    """A fitted model.

    Attributes:
        num_results: results when it was fitted.
        scale: (F,) factors of the features that it takes.
        process: the model.
        built: features of each fitted result, as bytes.
    """

    num_results: int
    scale: Floats
    process: GaussianProcess
    built: frozenset[bytes]


class Guided:
    """Greedy mutation, with or without a model that chooses among the mutants.

    The first proposals are drawn from the space. Then each is the best of `num_candidates`: mutants of the
    `num_parents` best so far by one to `max_mutations` of the space's own mutations, and a few that are drawn from the
    space. The best is that of a function drawn from a Gaussian process over `SearchSpace.features` (Thompson sampling):
    workers that ask at once draw different functions, so that none waits for another's result. Failed evaluations are
    not proposed again, and teach the model nothing. Nor are candidates taken that have the features of a fitted result:
    other decisions may describe the same network.

    The model is a pure function of the results so far. Its hyperparameters are those of the first k results, where k is
    `num_random` or a power of 1.5 times that, so that a resumed search chooses them from the same results.

    Args:
        space: space to draw from and to mutate in.
        model: `gaussian_process`, or `none` for a random mutant.
        num_parents: architectures that are mutated.
        num_random: results before the first mutation.
        max_mutations: most mutations from parent to candidate.
        num_candidates: architectures that the model chooses from.
        random_share: share of them that are drawn from the space.

    Raises:
        ValueError: a number out of range.

    Source: the candidates after White et al., BANANAS (arXiv 1910.11858); the sampling after Kandasamy et al.,
    Parallelised Bayesian Optimisation via Thompson Sampling (AISTATS 2018).
    """

    min_objectives: ClassVar[int] = 1

    def __init__(
        self,
        space: SearchSpace,
        model: Model = "gaussian_process",
        num_parents: int = 16,
        num_random: int = 16,
        max_mutations: int = 3,
        num_candidates: int = 32,
        random_share: float = 0.1,
    ) -> None:
        check_range("num_parents", num_parents, 1, 10_000_000, "no run has more trials")
        check_range("num_random", num_random, 2, 10_000_000, "a model takes two results at least")
        check_range("max_mutations", max_mutations, 1, 1000, "a mutant of more is drawn as well from the space")
        check_range("num_candidates", num_candidates, 1, 10_000, "each costs about half a millisecond an ask")
        check_range("random_share", random_share, 0, 1, "it is a share of the candidates")
        self._space = space
        self._model = model
        self._num_parents = num_parents
        self._num_random = num_random
        self._max_mutations = max_mutations
        self._num_candidates = num_candidates
        self._random_share = random_share

        self._results: list[_Result] = []
        self._parents: list[tuple[float, int]] = []
        self._known: set[Decisions] = set()
        self._rewarded: set[Decisions] = set()
        # All of it follows from the results, and is kept so that it is computed once.
        self._features: dict[Decisions, Floats] = {}
        self._choices: dict[int, tuple[Floats, Hyperparameters]] = {}
        self._fitted: _Model | None = None

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Draw from the space while there are few results, then the best of the candidates."""
        if len(self._results) < self._num_random:
            return Proposal(self._space.sample(rng))
        if self._model == "none":
            return Proposal(self._mutant(rng))

        candidates = self._candidates(rng)
        features = np.array([self._space.features(own) for own in candidates])
        model = self._fit()
        new = [i for i, own in enumerate(features) if own.tobytes() not in model.built] or list(range(len(features)))
        drawn = model.process.draw(model.scale * features[new], rng)
        return Proposal(candidates[new[int(drawn.argmax())]])

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Learn a result; a reused one is no further training, and counts once."""
        self._known.add(proposal.decisions)
        if reward is None or proposal.decisions in self._rewarded:
            return
        self._rewarded.add(proposal.decisions)

        # Of equal rewards the earlier is the better parent.
        entry = (reward, -len(self._results))
        self._results.append(_Result(proposal.decisions, reward))
        if len(self._parents) < self._num_parents:
            heappush(self._parents, entry)
        elif entry > self._parents[0]:
            heapreplace(self._parents, entry)

    def _candidates(self, rng: np.random.Generator) -> list[Decisions]:
        """Return what the model chooses from, each once."""
        num_random = round(self._random_share * self._num_candidates)
        drawn = [self._space.sample(rng) for _ in range(num_random)]
        mutants = [self._mutant(rng) for _ in range(self._num_candidates - num_random)]
        unique = dict.fromkeys([*mutants, *drawn])
        return [own for own in unique if own not in self._known] or list(unique)

    def _mutant(self, rng: np.random.Generator) -> Decisions:
        """Return a mutant of one of the best, one whose result is not known if such a one is easily found."""
        parents = sorted(self._parents, reverse=True)
        for _ in range(NUM_TRIES):
            _, order = parents[int(rng.integers(len(parents)))]
            decisions = self._results[-order].decisions
            for _ in range(int(rng.integers(1, self._max_mutations + 1))):
                decisions = self._space.mutate(decisions, rng)
            if decisions not in self._known:
                break
        return decisions

    def _fit(self) -> _Model:
        """Return the model of all results."""
        num_results = len(self._results)
        if self._fitted is None or self._fitted.num_results != num_results:
            scale, hyperparameters = self._chosen(num_results)
            features, rewards = self._table(num_results, MAX_FITTED)
            process = GaussianProcess(scale * features, rewards, hyperparameters)
            self._fitted = _Model(num_results, scale, process, frozenset(own.tobytes() for own in features))
        return self._fitted

    def _chosen(self, num_results: int) -> tuple[Floats, Hyperparameters]:
        """Return scale and hyperparameters for so many results: those for as many of the first as the grid says."""
        num_first = self._num_random
        while (further := num_first + max(1, num_first // 2)) <= num_results:
            num_first = further
        if num_first not in self._choices:
            features, rewards = self._table(num_first, MAX_WEIGHED)
            scale = feature_scale(features, self._space.feature_names)
            self._choices[num_first] = scale, likeliest(scale * features, rewards)
        return self._choices[num_first]

    def _table(self, num_first: int, limit: int) -> tuple[Floats, Floats]:
        """Return features (N, F) and rewards (N,) of the first results, or where they are too many, of some."""
        chosen = list(range(num_first))
        if num_first > limit:
            by_reward = sorted(chosen, key=lambda i: (-self._results[i].reward, i))
            best, others = by_reward[: limit // 2], sorted(by_reward[limit // 2 :])
            chosen = sorted([*best, *others[-(limit - limit // 2) :]])

        features = np.stack([self._features_of(self._results[i].decisions) for i in chosen])
        return features, np.array([self._results[i].reward for i in chosen])

    def _features_of(self, decisions: Decisions) -> Floats:
        if decisions not in self._features:
            self._features[decisions] = np.array(self._space.features(decisions))
        return self._features[decisions]
