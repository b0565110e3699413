"""A kind of block from outside the package, from decoding to drawing, training and files."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from nas.drawing import architecture_svg, draw, to_png
from nas.drawing.layout import lay_out
from proxy_tasks import Fidelity, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.exporting.checked import export_checked
from proxy_tasks.exporting.formats import Variant
from proxy_tasks.exporting.sources import gathered_source
from proxy_tasks.exporting.subject import backbone_subject
from proxy_tasks.landscape import Landscape, true_score
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.training.recipe import Recipe
from search_space import (
    ArchSpec,
    BlockSpec,
    Candidate,
    ModelScale,
    ScalePermutedSpace,
    SpecFile,
    StemBlock,
    add_kind,
    published_spec,
    read_spec,
    resnet_seed,
    write_spec,
)
from search_space.kinds import RESNET, BlockKind, remove_kind
from search_space.spec import short_form

# What somebody writes who wants a kind of their own: one file, found on Python's path.
MODULE = '''
from torch import Tensor, nn

from proxy_tasks.networks.layers import ConvNorm, LayerStyle
from search_space.kinds import RESNET, BlockKind


class SeparableUnit(nn.Module):
    """A depthwise and a 1x1 convolution, with a shortcut where the shape stays."""

    def __init__(self, c_in: int, width: int, stride: int, style: LayerStyle, skip_rate: float) -> None:
        super().__init__()
        self.depthwise = ConvNorm(c_in, c_in, 3, style, stride=stride, depthwise=True)
        self.pointwise = ConvNorm(c_in, width, 1, style)
        self.has_shortcut = c_in == width and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out = self.pointwise(self.depthwise(x))
        return out + x if self.has_shortcut else out


SEPARABLE = BlockKind(
    "separable", RESNET, "s", "octagon", expansion=1, cost=1, unit="separable_blocks.SeparableUnit"
)
'''

SCALE = ModelScale(
    width_multiplier=0.0625, resample_alpha=0.5, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=64
)


@pytest.fixture(autouse=True)
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockKind]:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "separable_blocks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    found = import_module("separable_blocks").SEPARABLE
    assert isinstance(found, BlockKind)
    add_kind(found)
    yield found
    remove_kind(found.name)
    del sys.modules["separable_blocks"]


@pytest.fixture
def spec(kind: BlockKind) -> ArchSpec:
    """Return an architecture out of a space that has the kind."""
    space = ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("bottleneck", kind.name))
    decisions = space.sample(np.random.default_rng(0))
    spec = space.decode(decisions).spec
    assert space.decode(space.encode(Candidate(spec))).spec == spec
    assert {block.kind for block in spec.blocks} == {"bottleneck", "separable"}
    return spec


def test_a_space_with_the_kind_offers_it_for_every_block(kind: BlockKind) -> None:
    space = ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("bottleneck", kind.name))
    kinds = [decision.options for decision in space.decisions if decision.name.endswith(".kind")]
    assert kinds == [("bottleneck", "separable")] * 15


def test_it_is_written_with_its_letter_and_builds_under_a_key_of_its_own(spec: ArchSpec) -> None:
    words = short_form(spec.blocks).replace("|", " ").split()
    assert [word.endswith("s") for word in words] == [block.kind == "separable" for block in spec.blocks]
    blocks = tuple(
        replace(block, kind="residual" if block.kind == "separable" else block.kind) for block in spec.blocks
    )
    assert ArchSpec(spec.stem, blocks).key != spec.key


def test_it_is_drawn_with_its_outline_and_explained(spec: ArchSpec) -> None:
    layout = lay_out(spec)
    stem = len(spec.stem)
    assert [placed.outline == "octagon" for placed in layout.blocks[stem:]] == [
        b.kind == "separable" for b in spec.blocks
    ]
    assert ("kind", "octagon", "separable") in [(e.sign, e.outline, e.label.text) for e in layout.legend]
    text = architecture_svg(spec, "mine")
    ElementTree.fromstring(text)
    assert "(r: residual, s: separable; behind the bar" in text
    assert to_png(draw(spec), 200)


def test_it_is_read_back_from_its_file(spec: ArchSpec, tmp_path: Path) -> None:
    document = SpecFile(schema_version=1, name="mine", key=spec.key, spec=spec, scale=SCALE)
    write_spec(tmp_path / "mine.json", document)
    assert read_spec(tmp_path / "mine.json") == document


def test_a_network_holds_its_unit_and_every_parameter_learns(spec: ArchSpec) -> None:
    torch.manual_seed(0)
    network = build_detector(spec, replace(SCALE, block_repeats=2), num_classes=2)
    built = [type(unit).__name__ for chain in network.backbone.blocks.values() for unit in chain]  # type: ignore[attr-defined]  # a SpineNet
    assert built.count("SeparableUnit") > 0
    assert set(built) == {"BottleneckUnit", "SeparableUnit"}

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    images, losses = torch.randn(4, 3, 64, 64), []
    for _ in range(4):
        raw = network(images)
        loss = raw.class_logits.square().mean() + (raw.box_codes - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == []
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]

    network.eval()
    with torch.no_grad():
        for expected, found in zip(network(images), fold_norms(network)(images), strict=True):
            assert torch.allclose(found, expected, atol=1e-4)


def test_its_cost_is_that_of_its_layers() -> None:
    stem = (StemBlock(2), StemBlock(2))
    costs = []
    for repeats in (1, 2):
        spec = ArchSpec(stem, (BlockSpec(3, "separable", (0, 1), True),))
        scale = ModelScale(block_repeats=repeats)
        costs.append(detector_cost(spec, scale, num_classes=1))
    # A second copy of each block: 128 channels of 80 x 80 px with a 3x3 depthwise and a 1x1 convolution and two
    # normalisations; and the stem's two bottlenecks of width 64 on 160 x 160 px, 256 channels wide, with three.
    separable = 128 * 9 + 128 * 128
    bottleneck = 256 * 64 + 64 * 64 * 9 + 64 * 256
    assert costs[1].macs - costs[0].macs == separable * 80**2 + 2 * bottleneck * 160**2
    norms = 2 * (2 * 128) + 2 * (2 * (64 + 64 + 256))
    assert costs[1].params - costs[0].params == separable + 2 * bottleneck + norms


def test_the_landscape_scores_it(spec: ArchSpec) -> None:
    metrics = Landscape().evaluate(Candidate(spec), fidelity=Fidelity(1), seed=0).metrics
    assert 0 < metrics["ap"] == true_score(spec) < 1


def test_the_detection_task_trains_it(spec: ArchSpec, tmp_path: Path) -> None:
    task = DetectionProxy(
        data=Shapes(tmp_path / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8),
        scale=SCALE,
        recipe=Recipe(batch_size=8, optimizer="adamw", learning_rate=1e-3, schedule="one_cycle"),
        cache_dir=tmp_path / "cache",
    )
    task.prepare(silent)
    metrics = task.evaluate(Candidate(spec), fidelity=Fidelity(epochs=3, max_train_images=16), seed=0).metrics
    assert set(metrics) == set(task.metric_names)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics == task.evaluate(Candidate(spec), fidelity=Fidelity(epochs=3, max_train_images=16), seed=0).metrics


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("separable_blocks.Absent", "cannot import its unit separable_blocks.Absent: .* no attribute"),
        (
            "absent_blocks.Unit",
            "cannot import its unit absent_blocks.Unit: No module named 'absent_blocks'",
        ),
        ("separable_blocks.SEPARABLE", "its unit separable_blocks.SEPARABLE is no nn.Module"),
    ],
)
def test_a_unit_that_is_not_there_is_one_line(unit: str, message: str) -> None:
    broken = BlockKind("broken", RESNET, "b", "cross", expansion=1, cost=1, unit=unit)
    add_kind(broken)
    try:
        spec = published_spec("spinenet-49")
        blocks = tuple(replace(block, kind="broken") for block in spec.blocks)
        with pytest.raises(ValueError, match=f"kind broken: {message}"):
            build_detector(ArchSpec(spec.stem, blocks), SCALE, num_classes=1)
    finally:
        remove_kind("broken")


def test_imports_of_a_kinds_own_package_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "parts.py").write_text("def halved(x):\n    return x / 2\n")
    unit = "import torch.nn.functional\n\nfrom .parts import halved\n\n\n"
    unit += "def unit(x):\n    return halved(torch.nn.functional.relu(x))\n"
    (folder / "blocks.py").write_text(unit)
    monkeypatch.syspath_prepend(tmp_path)

    names: dict[str, Any] = {}
    exec(gathered_source([import_module("own_package.blocks").unit], ["own_package"], {}), names)
    assert names["unit"](torch.tensor(3.0)) == 1.5


@pytest.mark.long
def test_its_source_is_a_part_of_the_stand_alone_file_of_its_network(spec: ArchSpec) -> None:
    # Checked as every export: equal to the last bit where neither our packages nor its own can be imported.
    subject = backbone_subject(spec, SCALE, SCALE.image_size_px, {})
    assert b"class SeparableUnit" in export_checked(subject, "python", Variant()).content
