"""A second closed-form score, which knows nothing of what the paper reports to matter.

The first landscape is made of counts, so that a model over counts has its answer before it begins. This one is a random
network over the graph that would be built: what a block is worth depends on all that leads to it, in ways that nobody
has written down. It is no evidence about detectors either.
"""

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from proxy_tasks.landscape import Landscape
from search_space import ArchSpec
from search_space.kinds import MAX_LEVEL
from search_space.spec import NUM_STEM_PARENTS, live_blocks

WIDTH = 16
"""Numbers that a block hands on."""
_MEMORY = 1.2
"""Standard deviation of what a block takes over from its parents, before it is squashed."""
_GAIN = 1.8
"""Factor of what is read; larger spreads the scores further about a half."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NeutralLandscape(Landscape):
    """Scores a spec by a random message-passing network over its graph; see `neutral_score`."""

    def score(self, spec: ArchSpec) -> float:
        """Return the score without noise, in [0, 1]."""
        return neutral_score(spec, self.seed)


def neutral_score(spec: ArchSpec, seed: int = 0) -> float:
    """Return the score without noise, in [0, 1].

    Each feature that is built has a vector of `WIDTH` numbers. That of a block is the hyperbolic tangent of a vector of
    its level and kind, plus the mean of its parents' vectors, each turned by a matrix of the difference in level. The
    score is a logistic function of the mean over outputs of their vectors' products with one of the output's level.
    All vectors and matrices are drawn from the seed, those of a kind from its name too.
    """
    messages, readouts = _weights(seed)
    states: dict[int, Floats] = {}
    for feature in range(NUM_STEM_PARENTS):
        block = spec.features[feature]
        states[feature] = np.tanh(_embedding(seed, f"stem {feature}")[block.level])

    outputs = []
    for live in live_blocks(spec):
        block = spec.features[live.feature]
        incoming = np.zeros(WIDTH)
        for parent in live.parents:
            incoming += messages[block.level - spec.features[parent].level] @ states[parent]
        # Leftovers are added as they are, so that they count as one vector more.
        incoming = incoming / len(live.parents) + sum(states[feature] for feature in live.leftovers)
        states[live.feature] = np.tanh(_embedding(seed, block.kind)[block.level] + incoming)
        if live.is_output:
            outputs.append(readouts[block.level] @ states[live.feature])
    return 1 / (1 + math.exp(-_GAIN * sum(outputs) / len(outputs)))


@lru_cache(maxsize=8)
def _weights(seed: int) -> tuple[Floats, Floats]:
    """Return a matrix for each difference in level, which may be negative as an index is, and a readout per level."""
    rng = np.random.default_rng([seed, 3])
    messages = rng.standard_normal((2 * MAX_LEVEL + 1, WIDTH, WIDTH)) * (_MEMORY / math.sqrt(WIDTH))
    return messages, rng.standard_normal((MAX_LEVEL + 1, WIDTH)) / math.sqrt(WIDTH)


@lru_cache(maxsize=64)
def _embedding(seed: int, name: str) -> Floats:
    """Return the vector of each level for blocks of a kind, or for a part of the stem: (L, `WIDTH`)."""
    rng = np.random.default_rng([seed, 4, zlib.crc32(name.encode())])
    return rng.standard_normal((MAX_LEVEL + 1, WIDTH))
