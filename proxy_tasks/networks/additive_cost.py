"""The cost of detectors by the parts that they share: exact, and in microseconds once the parts are known.

A detector's cost is a sum over its blocks, connections and outputs, and what each of these costs depends on levels and
kinds alone. So a few dozen detectors, counted layer by layer, say what all others of their space cost.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from proxy_tasks.networks.cost import Cost, on_meta, part_costs
from proxy_tasks.networks.families import network_family
from proxy_tasks.networks.named_networks import build_detector
from search_space import ArchSpec, ModelScale
from search_space.spec import NUM_STEM_PARENTS, live_blocks


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of one network.

    Attributes:
        module: its name within the backbone.
        alike: equal for parts that cost the same.
        number: number of such parts that the module holds.
    """

    module: str
    alike: Hashable
    number: int = 1


class DetectorCosts:
    """Counts detectors of one scale and number of classes as `detector_cost` does, and keeps what each part costs.

    Args:
        scale: size of the networks, and of their images.
        num_classes: number of classes that they tell apart.
    """

    def __init__(self, scale: ModelScale, num_classes: int) -> None:
        self._scale = scale
        self._num_classes = num_classes
        self._known: dict[Hashable, Cost] = {}

    def of(self, spec: ArchSpec) -> Cost:
        """Return the cost of a spec's detector; it takes 0.1 s where some part of it is new.

        Raises:
            ValueError: the scale does not fit.
        """
        parts = _parts(spec)
        rest = _rest(spec)
        if rest not in self._known or any(part.alike not in self._known for part in parts):
            self._count(spec, parts, rest)

        total = self._known[rest]
        for part in parts:
            total += _times(self._known[part.alike], part.number)
        return total

    def _count(self, spec: ArchSpec, parts: Sequence[_Part], rest: Hashable) -> None:
        """Count one detector layer by layer, and note down what each of its parts costs."""
        size = self._scale.image_size_px
        network = on_meta(lambda: build_detector(spec, self._scale, self._num_classes))
        costs = part_costs(network, (size, size))

        left = costs[""]
        for part in parts:
            cost = costs[f"backbone.{part.module}"]
            self._known[part.alike] = Cost(cost.params // part.number, cost.macs // part.number)
            left += _times(cost, -1)
        self._known[rest] = left


def _parts(spec: ArchSpec) -> list[_Part]:
    """Return the parts of a spec's network that others may have too."""
    labels = [(feature.level, feature.kind) for feature in spec.features]
    live = live_blocks(spec)
    parts = []
    for built in live:
        number, own = built.feature, labels[built.feature]
        parts.append(_Part(f"blocks.{number}", ("block", own)))
        if built.is_output:
            parts.append(_Part(f"endpoints.{number}", ("endpoint", own)))
        for i, parent in enumerate(built.parents):
            parts.append(_Part(f"fusions.{number}.resamples.{i}", ("resample", labels[parent], own)))

    # One layer narrows a feature for all of its children, side by side.
    if network_family(spec.family).narrow is not None:
        children = Counter(parent for built in live for parent in built.parents)
        parts += [_Part(f"narrows.{parent}", ("narrow", labels[parent]), num) for parent, num in children.items()]
    return parts


def _rest(spec: ArchSpec) -> Hashable:
    """Return what a network's stem and head depend on: all of it but the parts."""
    read = {feature for built in live_blocks(spec) for feature in (*built.parents, *built.leftovers)}
    last_of_stem = max(feature for feature in range(NUM_STEM_PARENTS) if feature in read)
    return "rest", spec.stem, last_of_stem, tuple(sorted(spec.output_levels))


def _times(cost: Cost, number: int) -> Cost:
    return Cost(cost.params * number, cost.macs * number)
