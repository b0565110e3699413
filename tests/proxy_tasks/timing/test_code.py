"""The code of a network: real packages, and a real module with a kind of block."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from proxy_tasks.timing.code import code_of
from search_space import ArchSpec, add_kind, published_spec
from search_space.kinds import remove_kind
from search_space.spec import BlockSpec

MODULE = """
from search_space.kinds import RESNET, BlockKind
MINE = BlockKind("mine", RESNET, "s", "octagon", expansion=1, cost=2.5, unit="blocks_of_mine.Unit")
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "blocks_of_mine.py"
    path.write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    add_kind(import_module("blocks_of_mine").MINE)
    yield path
    remove_kind("mine")
    del sys.modules["blocks_of_mine"]


def spec_of(kind: str) -> ArchSpec:
    blocks = tuple(BlockSpec(level, kind, (0, 1), is_output=True) for level in range(3, 8))
    return ArchSpec(published_spec("spinenet-49").stem, blocks)


def test_an_edited_kind_of_block_changes_the_code_of_the_networks_that_have_it(source: Path) -> None:
    mine, other = spec_of("mine"), spec_of("residual")
    before, before_other = code_of(mine, needs_onnx=False), code_of(other, needs_onnx=False)
    assert code_of(mine, needs_onnx=False) == before
    source.write_text(f"{MODULE}# edited\n")
    assert code_of(mine, needs_onnx=False) != before
    assert code_of(other, needs_onnx=False) == before_other


def test_the_versions_of_all_that_makes_a_file_are_in_the_code() -> None:
    code = code_of("spinenet-49", needs_onnx=True)
    assert code["torch"] == version("torch")
    assert code["onnx"] == version("onnx")
    assert "spinenet-search" in code
    assert "onnx" not in code_of("spinenet-49", needs_onnx=False)
