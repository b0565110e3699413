"""The profile of a network: the cost of each block."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from proxy_tasks.networks.cost import Cost, on_meta, part_costs
from proxy_tasks.networks.named_networks import BASELINE, Head, build_network
from search_space import ArchSpec, ModelScale, published_spec
from search_space.spec import NUM_STEM_PARENTS, LiveBlock, live_blocks

_HEADS = {
    "class tower": ("class_tower",),
    "box tower": ("box_tower",),
    "classifier": ("predict",),
    "proposals": ("rpn.head",),
    "box head": ("roi_heads.box_head", "roi_heads.box_predictor"),
    "mask head": ("roi_heads.mask_head", "roi_heads.mask_predictor"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One row of a profile.

    Attributes:
        name: `stem`, the number of a feature (what parents refer to), `endpoints`, or a part of the head.
        cost: cost of the part; that of a block includes the resampling of its parents.
        level: a block's level.
        kind: a block's kind.
        parents: a block's parents, without leftovers.
        leftovers: features added to an output as they are.
        is_output: whether the head reads the block.
    """

    name: str
    cost: Cost
    level: int | None = None
    kind: str = ""
    parents: tuple[int, ...] = ()
    leftovers: tuple[int, ...] = ()
    is_output: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """The cost of a network, part by part.

    Attributes:
        parts: in order of computation; their costs add up to the total.
        total: cost of the whole network, boxes and suppression not counted.
        not_built: numbers of the features that reach no output.
    """

    parts: tuple[Part, ...]
    total: Cost
    not_built: tuple[int, ...]


def profile_network(
    architecture: str | ArchSpec,
    scale: ModelScale,
    image_size_px: tuple[int, int],
    *,
    head: Head = "retinanet",
    num_classes: int = 80,
) -> Profile:
    """Count a network block by block, in well under a second; nothing is computed.

    Args:
        architecture: see `build_network`; a spec's rows are its blocks, the baseline's its stages.
        scale: how big each part is.
        image_size_px: height and width of the image.
        head: see `build_network`.
        num_classes: classes of the head, without background.

    Raises:
        ValueError: see `build_network`.
    """
    network = on_meta(partial(build_network, architecture, scale, head=head, num_classes=num_classes))
    costs = part_costs(network, image_size_px)

    # Module names begin with where the head keeps its backbone.
    backbone = {"none": "", "mask_rcnn": "backbone.backbone."}.get(head, "backbone.")
    not_built: tuple[int, ...] = ()
    if architecture == BASELINE:
        stages = [Part(f"stage {i + 3}", costs[f"{backbone}stages.{i}"]) for i in range(3)]
        parts = [Part("stem", costs[f"{backbone}stem"]), *stages, Part("pyramid", costs[f"{backbone}pyramid"])]
    else:
        spec = published_spec(architecture) if isinstance(architecture, str) else architecture
        live = live_blocks(spec)
        parts = _block_parts(costs, backbone, spec, live)
        built = {block.feature for block in live}
        not_built = tuple(f for f in range(NUM_STEM_PARENTS, len(spec.features)) if f not in built)

    for label, names in _HEADS.items():
        if names[0] in costs:
            parts.append(Part(label, sum((costs[name] for name in names), Cost(0, 0))))

    return Profile(tuple(parts), costs[""], not_built)


def _block_parts(costs: Mapping[str, Cost], backbone: str, spec: ArchSpec, live: Sequence[LiveBlock]) -> list[Part]:
    parts = [Part("stem", costs[f"{backbone}stem_conv"] + costs[f"{backbone}stem"])]
    num_children = Counter(parent for block in live for parent in block.parents)
    for block in live:
        feature, number = spec.features[block.feature], str(block.feature)
        cost = costs[f"{backbone}fusions.{number}"] + costs[f"{backbone}blocks.{number}"]

        # The layer that narrows a parent has the same number of channels for each of its children.
        for parent in block.parents:
            whole = costs.get(f"{backbone}narrows.{parent}", Cost(0, 0))
            cost += Cost(whole.params // num_children[parent], whole.macs // num_children[parent])
        parts.append(Part(number, cost, feature.level, feature.kind, block.parents, block.leftovers, block.is_output))
    return [*parts, Part("endpoints", costs[f"{backbone}endpoints"])]
