"""The architectures that searches start from: known blocks, split between a fixed stem and a searched part."""

from collections.abc import Mapping
from dataclasses import dataclass

from foundation import InputError, nearest_hint
from search_space.spec import ArchSpec, BlockSpec, StemBlock

OUTPUT_LEVELS = (3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class BlockBudget:
    """Numbers of bottleneck blocks by level; outputs come on top, one for each of levels 3 to 7."""

    stem: Mapping[int, int]
    intermediate: Mapping[int, int]


# SpineNet (arXiv 1912.05027), table 1: R[N]-SP[M] keeps N layers of ResNet-50 as the stem and permutes M. Vertex AI NAS
# (google/vertex-ai-nas, tunable_spinenet_search_space.py) permutes one block of level 5 more.
BUDGETS: Mapping[str, BlockBudget] = {
    "r35-sp18": BlockBudget(stem={2: 2, 3: 3, 4: 5, 5: 1}, intermediate={2: 1}),
    "r23-sp30": BlockBudget(stem={2: 2, 3: 2, 4: 2, 5: 1}, intermediate={2: 1, 3: 1, 4: 3}),
    "r14-sp39": BlockBudget(stem={2: 1, 3: 1, 4: 1, 5: 1}, intermediate={2: 2, 3: 2, 4: 4}),
    "r0-sp53": BlockBudget(stem={2: 2}, intermediate={2: 1, 3: 3, 4: 5, 5: 1}),
    "vertex-spinenet": BlockBudget(stem={2: 2}, intermediate={2: 1, 3: 3, 4: 5, 5: 2}),
}

# The same source's spinenet_mbconv: the blocks of EfficientNet-B0; the stem is SpineNet-Mobile's.
MOBILE_BUDGET = BlockBudget(stem={1: 1, 2: 1}, intermediate={2: 1, 3: 1, 4: 5, 5: 4})


def resnet_seed(name: str) -> ArchSpec:
    """Return the budget's blocks in ResNet order, each fed by the two features before it.

    This is where a search starts: `r0-sp53` is also the seed of SpineNet-49.

    Raises:
        InputError: there is no budget of that name.
    """
    try:
        budget = BUDGETS[name]
    except KeyError:
        raise InputError(
            f"unknown ResNet seed {name!r}; known are {', '.join(BUDGETS)}{nearest_hint(name, [*BUDGETS])}"
        ) from None

    return _in_order(budget, "bottleneck")


def mobile_seed() -> ArchSpec:
    """Return the blocks of EfficientNet-B0, all `mbconv`, each fed by the two features before it."""
    return _in_order(MOBILE_BUDGET, "mbconv")


def _in_order(budget: BlockBudget, kind: str) -> ArchSpec:
    """Return the budget's blocks with levels rising, then the outputs."""
    # The stem's last two blocks are features 0 and 1, so block `i` comes right after features `i` and `i + 1`.
    inner = _spread(budget.intermediate)
    blocks = [BlockSpec(level, kind, (i, i + 1)) for i, level in enumerate(inner)]
    for i, level in enumerate(OUTPUT_LEVELS, start=len(inner)):
        blocks.append(BlockSpec(level, kind, (i, i + 1), is_output=True))

    stem = tuple(StemBlock(level, kind) for level in _spread(budget.stem))
    return ArchSpec(stem, tuple(blocks))


def _spread(counts: Mapping[int, int]) -> list[int]:
    """Return each level as often as it is counted, ascending."""
    return [level for level, count in sorted(counts.items()) for _ in range(count)]
