"""Scales as decisions: networks of one topology, or of any of a space, at any of several scales."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search_space.base import Decision, Decisions, SearchSpace
from search_space.candidate import Candidate
from search_space.features import scale_features
from search_space.scale import ModelScale
from search_space.scale_permuted import ScalePermutedSpace
from search_space.spec import ArchSpec


class ScalingSpace:
    """Every topology of a space, or one alone, at every scale that some sizes make together.

    Decisions are those of the topology, and then one for each size that has several values; a size without values stays
    as in `scale`, one with a single value has that.

    Args:
        topology: the topologies; a spec is the only one.
        scale: gives all that is not searched; its image size is the largest, as images are kept at it.
        image_size_px, endpoint_width, width_multiplier, resample_alpha, block_repeats, num_head_convs, head_width:
            values to choose from; see `ModelScale`.

    Raises:
        ValueError: no network can have one of these scales, or its images are larger than those of `scale`.

    Source: compound scaling as in SpineNet (arXiv 1912.05027), section 3.4; the sizes are those of Vertex AI's
        `spinenet_scaling` (google/vertex-ai-nas, nas_architecture/search_spaces.py).
    """

    def __init__(
        self,
        topology: ArchSpec | SearchSpace,
        scale: ModelScale,
        image_size_px: tuple[int, ...] = (),
        endpoint_width: tuple[int, ...] = (),
        width_multiplier: tuple[float, ...] = (),
        resample_alpha: tuple[float, ...] = (),
        block_repeats: tuple[int, ...] = (),
        num_head_convs: tuple[int, ...] = (),
        head_width: tuple[int, ...] = (),
    ) -> None:
        self._topology = _one_topology(topology) if isinstance(topology, ArchSpec) else topology
        self._base = scale
        given: dict[str, tuple[float, ...]] = {
            "image_size_px": image_size_px,
            "endpoint_width": endpoint_width,
            "width_multiplier": width_multiplier,
            "resample_alpha": resample_alpha,
            "block_repeats": block_repeats,
            "num_head_convs": num_head_convs,
            "head_width": head_width,
        }
        # A value that is named twice would be drawn twice as often.
        values: dict[str, Any] = {}
        for name, own in given.items():
            values[name] = tuple(sorted(set(own))) or (getattr(scale, name),)
        if max(values["image_size_px"]) > scale.image_size_px:
            raise ValueError(
                f"image_size_px: {max(values['image_size_px'])} is above scale.image_size_px={scale.image_size_px}, at "
                f"which images are kept; give scale.image_size_px={max(values['image_size_px'])}"
            )

        # What a scale must keep is the harder the smaller its sizes are, but for upper bounds.
        for end in (0, -1):
            replace(scale, **{name: own[end] for name, own in values.items()})
        self._values = values
        self._searched = [name for name, own in values.items() if len(own) > 1]
        self._sizes = [
            Decision(f"scale.{name}", tuple(f"{value:g}" for value in values[name])) for name in self._searched
        ]
        self._num_inner = len(self._topology.decisions)

    @property
    def num_scales(self) -> int:
        """The number of scales of each topology."""
        return math.prod(len(own) for own in self._values.values())

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """(D,) those of the topology, then those of the scale."""
        return (*self._topology.decisions, *self._sizes)

    def legal(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Return the options that may follow `prefix`; see `SearchSpace.legal`."""
        if len(prefix) < self._num_inner:
            return self._topology.legal(prefix)
        number = len(prefix) - self._num_inner
        if number >= len(self._sizes):
            raise ValueError(f"the space has {len(self.decisions)} decisions, the prefix already {len(prefix)}")
        return tuple(range(self._sizes[number].num_options))

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Draw a candidate; every one is equally likely, as far as every topology is."""
        sizes = [int(rng.integers(size.num_options)) for size in self._sizes]
        return (*self._topology.sample(rng), *sizes)

    def mutate(self, decisions: Decisions, rng: np.random.Generator) -> Decisions:
        """Give one size another value, or change the topology by one change of its own; both are equally likely.

        Raises:
            ValueError: a space of one candidate.
        """
        inner, sizes = decisions[: self._num_inner], list(decisions[self._num_inner :])
        has_topologies = any(decision.num_options > 1 for decision in self._topology.decisions)
        if has_topologies and (not sizes or rng.random() < 0.5):  # a half
            return (*self._topology.mutate(inner, rng), *sizes)
        if not sizes:
            raise ValueError("the space holds one candidate only: there is nothing to mutate")

        changed = int(rng.integers(len(sizes)))
        step = int(rng.integers(1, self._sizes[changed].num_options))
        sizes[changed] = (sizes[changed] + step) % self._sizes[changed].num_options
        return (*inner, *sizes)

    def decode(self, decisions: Decisions) -> Candidate:
        """Return the candidate that the decisions describe; see `SearchSpace.decode`."""
        if len(decisions) != len(self.decisions):
            raise ValueError(f"the space has {len(self.decisions)} decisions, got {len(decisions)}")
        topology = self._topology.decode(decisions[: self._num_inner])

        chosen: dict[str, Any] = {name: own[0] for name, own in self._values.items()}
        for size, name, option in zip(self._sizes, self._searched, decisions[self._num_inner :], strict=True):
            if not 0 <= option < size.num_options:
                raise ValueError(f"{size.name}: legal options are {list(range(size.num_options))}, got {option}")
            chosen[name] = self._values[name][option]
        return Candidate(topology.spec, replace(self._base, **chosen))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """(F,) those of the topology, then those of the scale; docs/features.md explains them."""
        return (*self._topology.feature_names, *scale_features(self._base))

    def features(self, decisions: Decisions) -> tuple[float, ...]:
        """Return what would be built as (F,) figures; see `SearchSpace.features`."""
        sizes = scale_features(self.decode(decisions).scale)
        return (*self._topology.features(decisions[: self._num_inner]), *sizes.values())

    def encode(self, candidate: Candidate) -> Decisions:
        """Return decisions that decode to a candidate, which must have a scale; see `SearchSpace.encode`."""
        scale = candidate.scale
        if scale is None:
            raise ValueError("it has no scale, and the space searches scales")
        inner = self._topology.encode(candidate)

        for name, own in self._values.items():
            if getattr(scale, name) not in own:
                raise ValueError(f"scale.{name} must be {_or(own)}, got {getattr(scale, name):g}")
        of_space = replace(scale, **{name: getattr(self._base, name) for name in self._values})
        if of_space != self._base:
            raise ValueError(f"what is not searched of its scale must be as in {self._base}, got {scale}")
        return (*inner, *(self._values[name].index(getattr(scale, name)) for name in self._searched))


def _one_topology(spec: ArchSpec) -> ScalePermutedSpace:
    """Return the space of one topology, which has no decision."""
    return ScalePermutedSpace(spec, permutation=False, connections=False, level_offsets=(), kinds=())


def _or(values: Sequence[float]) -> str:
    return " or ".join(f"{value:g}" for value in values)
