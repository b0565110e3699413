"""A block kind of somebody's own on the command line: one entry, for the search and every command that reads specs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from search_space.kinds import kind_names, remove_kind
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run
from tests.search_space.test_kind_from_outside import MODULE

KIND = "block_kinds.separable=separable_blocks.SEPARABLE"
SPACE = "space.kinds=[bottleneck,separable]"


@pytest.fixture(autouse=True)
def own_module(tmp_path: Path) -> None:
    # A second kind has lost its module.
    lost = "LOST = BlockKind('lost', RESNET, 'l', 'cross', expansion=1, cost=1, unit='separable_blocks.Lost')"
    # A third has a module without what calls it.
    mute = "MUTE = BlockKind('mute', RESNET, 'u', 'cross', expansion=1, cost=1, unit='torch.nn.Module')"
    (tmp_path / "separable_blocks.py").write_text(f"{MODULE}{lost}\n{mute}\n")


@pytest.fixture
def call_anew(call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Do what `call` does and forget what a process of its own would not know: the kinds that joined, their module."""
    monkeypatch.syspath_prepend(tmp_path)
    own = kind_names()

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return call(module, *arguments)
        finally:
            for name in set(kind_names()) - set(own):
                remove_kind(name)
            sys.modules.pop("separable_blocks", None)

    return run


@pytest.mark.long
def test_a_kind_of_ones_own_is_searched_ranked_and_drawn(command: Run, call_anew: Run, tmp_path: Path) -> None:
    done = command("nas.search", *TINY_LANDSCAPE, KIND, SPACE)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\b[1-7]s\b", done.stdout)
    # What it proposes to do next can be pasted.
    assert f"nas.report run=run {KIND}\n" in done.stdout

    # The record names the kind, and nobody imports what a record names: each command is told again.
    refused = call_anew("nas.leaderboard", "run=run")
    assert refused.returncode == 2
    assert "kind must be one of bottleneck, residual, mbconv, got 'separable'" in refused.stderr
    assert "block_kinds.NAME=MODULE.VALUE" in refused.stderr
    answered = call_anew("nas.leaderboard", "run=run", KIND)
    assert answered.returncode == 0, answered.stderr

    spec = next((tmp_path / "run" / "best").glob("01-*.json"))
    assert '"separable"' in spec.read_text()
    drawn = call_anew("nas.draw", f"spec={spec}", "out=best.svg", KIND)
    assert drawn.returncode == 0, drawn.stderr
    assert "separable" in (tmp_path / "best.svg").read_text()


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("nas.report", ("run=run",)),
        ("nas.export", ("run=run", "out=specs")),
        ("nas.profile", ("spec=best.json", "scale=tiny", "latency=false")),
    ],
)
def test_every_command_that_reads_specs_takes_the_kind(
    command: Run, tmp_path: Path, module: str, arguments: tuple[str, ...]
) -> None:
    assert command("nas.search", *TINY_LANDSCAPE, KIND, SPACE).returncode == 0
    next((tmp_path / "run" / "best").glob("01-*.json")).rename(tmp_path / "best.json")

    refused = command(module, *arguments)
    assert refused.returncode == 2
    assert "block_kinds.NAME=MODULE.VALUE" in refused.stderr
    answered = command(module, *arguments, KIND)
    assert answered.returncode == 0, answered.stderr


@pytest.mark.long
def test_the_same_command_resumes_a_search_with_a_kind_of_ones_own(command: Run) -> None:
    assert command("nas.search", *TINY_LANDSCAPE, KIND, SPACE).returncode == 0
    more = command("nas.search", *TINY_LANDSCAPE, KIND, SPACE, "num_trials=8")
    assert more.returncode == 0, more.stderr
    assert "5 trials on record" in more.stdout
    without = command("nas.search", *TINY_LANDSCAPE, "num_trials=9")
    assert without.returncode == 2
    assert "the run has block_kinds.separable=separable_blocks.SEPARABLE on record" in without.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("block_kinds.separable=nowhere.SEPARABLE", "error: block_kinds.separable: cannot import nowhere.SEPARABLE"),
        (
            "block_kinds.separable=separable_blocks.nn",
            "error: block_kinds.separable: separable_blocks.nn is no BlockKind",
        ),
        ("block_kinds.other=separable_blocks.SEPARABLE", "SEPARABLE is named 'separable'"),
        (
            "block_kinds.lost=separable_blocks.LOST",
            "block_kinds.lost: unit: cannot import separable_blocks.Lost",
        ),
        ("block_kinds.mute=separable_blocks.MUTE", "block_kinds.mute: unit torch.nn.Module has no forward"),
        ("block_kinds.x=.y.z", "error: block_kinds.x: cannot import .y.z"),
        ("block_kinds=foo", "error: block_kinds: needs names with import paths"),
    ],
)
def test_a_wrong_entry_is_one_line(call_anew: Run, entry: str, message: str) -> None:
    done = call_anew("nas.search", *TINY_LANDSCAPE, entry)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.ray
@pytest.mark.long
def test_workers_hear_of_the_kind_with_the_job(command: Run) -> None:
    done = command("nas.search", *TINY_SEARCH, KIND, SPACE, "num_trials=2", "executor.max_concurrent=1")
    assert done.returncode == 0, done.stderr
    assert "2 completed" in done.stdout
