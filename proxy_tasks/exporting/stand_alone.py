"""The stand-alone file: one network as source code that needs torch alone, taken from the classes that trained it."""

import pprint
from collections.abc import Callable
from importlib import import_module
from typing import Any

from foundation import InputError
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.exporting.boxes import DetectorWithBoxes
from proxy_tasks.exporting.kept import DetectorWithKept
from proxy_tasks.exporting.sources import gathered_source
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.networks.layers import set_norm_epsilon
from proxy_tasks.networks.resnet_fpn import ResNet50FPN
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ArchSpec, ModelScale, kind_named
from search_space.kinds import OWN_KINDS, BlockKind, add_kind

OWN_PACKAGES = ("foundation", "proxy_tasks", "search_space")
"""The packages whose classes a network is made of."""

# Units are found by their import paths, which lead nowhere in one file.
_UNIT_CLASS = '''\
def _unit_class(kind: BlockKind) -> Callable[[int, int, int, LayerStyle, float], nn.Module]:
    """Return the class of the kind's units, which is one of this file."""
    unit: Callable[[int, int, int, LayerStyle, float], nn.Module] = globals()[kind.unit.rpartition(".")[2]]
    return unit'''

# What a file computes on a GPU in training is left to torch: our own kernels are not a part of it.
_NORMALISE = '''\
def normalise(norm: nn.Module, x: Tensor, *, plus: Tensor | None = None, act: Activation | None = None) -> Tensor:
    """Return `act(norm(x) + plus)`, without `plus` and `act` where they are None."""
    out: Tensor = norm(x)
    if plus is not None:
        out += plus
    return out if act is None else act(out)'''
_CONV_AND_NORMALISE = '''\
def conv_and_normalise(conv: nn.Module, norm: nn.Module, x: Tensor, act: Activation) -> Tensor:
    """Return `act(norm(conv(x)))`."""
    return normalise(norm, conv(x), act=act)'''
_FIRST_FEATURE = '''\
def first_feature(stem_conv: nn.Module, images: Tensor, *, pools: bool) -> Tensor:
    """Return (B, C, H / 2, W / 2), or (B, C, H / 4, W / 4) where it pools."""
    x: Tensor = stem_conv(images)
    return same_max_pool(x, (3, 3), (2, 2)) if pools else x'''
_CAT_LEVELS = '''\
def cat_levels(values: list[Tensor]) -> Tensor:
    """Return (B, A, V) of all levels from (B, A of the level, V) of each."""
    return torch.cat(values, dim=1)'''
_REPLACED = {
    "_unit_class": _UNIT_CLASS,
    "normalise": _NORMALISE,
    "conv_and_normalise": _CONV_AND_NORMALISE,
    "first_feature": _FIRST_FEATURE,
    "cat_levels": _CAT_LEVELS,
}

_HEAD = '''\
"""One network of spinenet-search in one file that needs {needs} alone.

It was generated from the classes that the network was built of, word for word; do not edit it. ABOUT says where it is
from. The names in its `state_dict` are those that the network has in nas.train{after}.

    network = build()  # fresh weights
    network = build({example}

Licensed under the Apache License 2.0, as spinenet-search is.
"""

'''

_BUILD = '''

def build(weights: str | None = None) -> nn.Module:
    """Return the network in inference mode.

    Args:
        weights: {takes}; None for fresh weights. Nothing in it is executed.
    """
    network = {network}
    set_norm_epsilon(network, {norm_epsilon!r})
    if weights is not None:
        content = torch.load(weights, map_location="cpu", weights_only=True)
        network.load_state_dict({state})
    return {answer}.eval()
'''

# Weights fit where shapes do, also those of a network with another activation, or of other classes.
_STATE = '''

def _state(content: dict) -> dict[str, Tensor]:
    """Return the weights of a file, which is one of nas.train for this very network, or holds a state_dict."""
    if "states" not in content:
        return content

    built_as, given = ABOUT["detector"], content["info"]
    names = ("architecture", "reference", "norm_epsilon", "categories")
    differing = [name for name in names if given[name] != built_as[name]]
    parts = [name for name in built_as["scale"] if name != "image_size_px"]
    differing += [f"scale.{{name}}" for name in parts if given["scale"].get(name) != built_as["scale"][name]]
    if differing:
        raise ValueError(f"these weights are of another network: {{', '.join(differing)}}")

    states: dict[str, dict[str, Tensor]] = content["states"]
    return states.get({which!r}, states["raw"])
'''


def stand_alone_source(subject: Subject) -> str:
    """Return the text of a network's file.

    Raises:
        InputError: a block from outside cannot be a part of one file.
    """
    kinds = _kinds(subject.architecture)
    try:
        units = [_unit(kind) for kind in kinds]
        packages = {*OWN_PACKAGES, *packages_of_units(subject)}
        body = gathered_source(_roots(subject, units), packages, _REPLACED)
    except (ValueError, OSError, SyntaxError) as error:
        raise InputError(f"format=python: this network is not one file of source code: {error}") from None

    # Topology and scale follow as values of their own.
    about = {name: value for name, value in subject.about.items() if name not in ("architecture", "scale")}
    values = [f"ABOUT = {pprint.pformat(about, width=116, sort_dicts=False)}"]
    values += [f"add_kind({kind!r})" for kind in kinds if kind not in OWN_KINDS]
    values += [f"SCALE = {pprint.pformat(subject.scale, width=116)}"]
    if isinstance(subject.architecture, ArchSpec):
        # Part by part: a whole spec prints as a line for people.
        parts = {"stem": subject.architecture.stem, "blocks": subject.architecture.blocks}
        written = [f"{name}={pprint.pformat(part, width=116)}" for name, part in parts.items()]
        values += [f"SPEC = ArchSpec({', '.join(written)})"]

    # What people cannot be asked to install comes with the baseline alone.
    needs = "torch and torchvision" if "from torchvision" in body else "torch"
    is_detector = subject.num_classes is not None
    build = _BUILD.format(
        network=_network(subject),
        norm_epsilon=subject.norm_epsilon,
        takes="a file of nas.train, or one that holds a state_dict"
        if is_detector
        else "a file that holds a state_dict",
        state="_state(content)" if is_detector else "content",
        answer=_answer(subject),
    )
    if is_detector:
        build += _STATE.format(which=subject.weights or "raw")

    example = '"detector.pt")  # those of a trained detector' if is_detector else '"own.pt")  # those of its state_dict'
    within = ", after `detector.network.`" if subject.reads_sizes else ", after `network.`"
    after = "" if subject.with_boxes is None else within
    return _HEAD.format(needs=needs, example=example, after=after) + body + "\n\n" + "\n".join(values) + "\n" + build


def _roots(subject: Subject, units: list[type]) -> list[Callable[..., Any]]:
    """Return all classes and functions that the file's own lines name."""
    backbone = SpineNet if isinstance(subject.architecture, ArchSpec) else ResNet50FPN
    named: list[Callable[..., Any]] = [backbone, ModelScale, set_norm_epsilon, *units]
    if isinstance(subject.architecture, ArchSpec):
        named.append(ArchSpec)
    if any(kind not in OWN_KINDS for kind in _kinds(subject.architecture)):
        named.append(add_kind)
    if subject.num_classes is not None:
        named.append(RetinaNet)
    if subject.with_boxes is not None:
        named += [DetectorWithBoxes, make_anchors]
    if subject.reads_sizes:
        named.append(DetectorWithKept)
    return named


def _network(subject: Subject) -> str:
    """Return the expression that makes the network."""
    is_spec = isinstance(subject.architecture, ArchSpec)
    backbone = f"SpineNet(SPEC, SCALE, {subject.reference!r})" if is_spec else "ResNet50FPN(SCALE)"
    return backbone if subject.num_classes is None else f"RetinaNet({backbone}, SCALE, {subject.num_classes})"


def _answer(subject: Subject) -> str:
    """Return the expression of the network with the parts that make boxes of its answer."""
    boxes = subject.with_boxes
    if boxes is None:
        return "network"
    anchors = f'make_anchors(network.output_levels, {boxes.image_size_px}, SCALE.anchor_scale, torch.device("cpu"))'
    unused = [k for k, is_unused in enumerate(boxes.is_unused.tolist()) if is_unused]
    arguments = f"{boxes.image_size_px}, {subject.num_classes}, {unused}, counts_last_pixel={boxes.counts_last_pixel}"
    with_boxes = f"DetectorWithBoxes(\n        network, {anchors}, {arguments}\n    )"
    return f"DetectorWithKept({with_boxes})" if subject.reads_sizes else with_boxes


def packages_of_units(subject: Subject) -> set[str]:
    """Return the top-level packages that the classes of a network's blocks are from."""
    return {_unit(kind).__module__.partition(".")[0] for kind in _kinds(subject.architecture)}


def _kinds(architecture: ArchSpec | str) -> list[BlockKind]:
    """Return the kinds of blocks in a network, each once."""
    if isinstance(architecture, str):
        return [kind_named("bottleneck")]
    names = [block.kind for block in architecture.stem] + [block.kind for block in architecture.blocks]
    return [kind_named(name) for name in dict.fromkeys(names)]


def _unit(kind: BlockKind) -> type:
    """Return the class of a kind's units."""
    module, _, name = kind.unit.rpartition(".")
    unit: type = getattr(import_module(module), name)
    return unit
