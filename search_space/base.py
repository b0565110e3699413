"""The contract of a search space: what it must offer, so that any controller can search it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from search_space.candidate import Candidate

Decisions: TypeAlias = tuple[int, ...]
"""One chosen option for every decision of a space, in the space's order."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One categorical choice.

    Attributes:
        name: names the choice. Choices of one sort share the word after the last dot, as `block3.kind` and
            `block4.kind` do; digits at its end only number them.
        options: a word for each option, in order; `Decisions` hold indices into them.
    """

    name: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        # The journal records them, and would be refused when it is read again.
        for option in self.options:
            if not isinstance(option, str):
                raise ValueError(f"decision {self.name}: options must be words, got {option!r}")

    @property
    def num_options(self) -> int:
        """Number of options."""
        return len(self.options)


@runtime_checkable
class SearchSpace(Protocol):
    """Every architecture that may be proposed, as fixed-length vectors of decisions.

    D is the number of decisions. Randomness always comes in as `rng`.

    What a caller sees, with `space = ScalePermutedSpace(resnet_seed("r0-sp53"))` and `rng = np.random.default_rng(0)`:

    >>> len(space.decisions), space.decisions[0]
    (70, Decision(name='block0.level', options=('2', '3', '4', '5')))
    >>> space.legal(()), space.legal((0,))  # the seed has one block of level 2, which is spent
    ((0, 1, 2, 3), (1, 2, 3))
    >>> drawn = space.sample(rng)
    >>> space.decode(drawn).short_form
    '3r 5r 3 5 3r 3r 7r 2 6r 3r|3r 5r 6r 7r 4'
    >>> mutant = space.decode(space.mutate(drawn, rng))
    >>> mutant.short_form  # two blocks have changed places
    '3r 5r 3 5 3r 3r 3r 2 6r 7r|3r 5r 6r 7r 4'
    >>> space.decode(space.encode(mutant)) == mutant
    True
    """

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """(D,) in the order in which they are taken."""
        ...

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return the options of decision `len(prefix)` after `prefix`, ascending, never empty.

        Any vector built by taking legal options one after another can be decoded.

        Raises:
            ValueError: the prefix is as long as the space or longer.
        """
        ...

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw an architecture; every candidate of the space is equally likely."""
        ...

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        """Return another candidate that differs by one change that a person would name.

        Args:
            decisions: legal ones; what happens with others is open.
            rng: the randomness.
        """
        ...

    def decode(self, decisions: Decisions) -> Candidate:
        """Return the candidate that the decisions describe; it has a scale where the space searches scales.

        Raises:
            ValueError: the wrong number of decisions, or one that is not legal.
        """
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """(F,) a name for each feature."""
        ...

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        """Return what would be built as (F,) figures, for predictors.

        A function of what is built: architectures of one key have the same features.

        Raises:
            ValueError: as `decode`.
        """
        ...

    def encode(self, candidate: Candidate) -> Decisions:
        """Return decisions that decode to a candidate; a space that searches no scale leaves its scale aside.

        Raises:
            ValueError: it is not in the space; the message says which rule it breaks.
        """
        ...
