"""A run folder or spec file that somebody else made: whatever stands in it, it is data."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.record.journal import FILE_NAME
from tests.conftest import TINY_LANDSCAPE, Run, start


@pytest.fixture
def run(call: Run, tmp_path: Path) -> Path:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    return tmp_path / "run"


def edit(run: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change one line of the journal."""
    lines = (run / FILE_NAME).read_text().splitlines()
    event = json.loads(lines[number])
    change(event)
    lines[number] = json.dumps(event)
    (run / FILE_NAME).write_text("\n".join(lines) + "\n")


def test_classes_named_in_a_journal_are_never_built(call: Run, run: Path, tmp_path: Path) -> None:
    def exploit(event: dict[str, Any]) -> None:
        for part in ("task", "controller", "space", "reward"):
            event["config"][part] = {"_target_": "os.mkdir", "path": "built"}

    edit(run, 0, exploit)
    for module, arguments in (
        ("nas.leaderboard", ("run=run",)),
        ("nas.export", ("run=run", "top=2")),
        ("nas.replay", (*TINY_LANDSCAPE, "top=1")),
        ("nas.search", (*TINY_LANDSCAPE, "num_trials=9")),
    ):
        call(module, *arguments)
    # With run= alone, the options are those on record, but classes only where a choice of the package names them.
    for command in ("nas.replay", "nas.search", "nas.prepare", "nas.enqueue spec=spinenet-49"):
        module, *options = command.split()
        refused = call(module, "run=run", *options)
        assert re.fullmatch(r"error: the run has space\._target_=os\.mkdir on record, .*\n", refused.stderr)
    assert not (tmp_path / "built").exists()


def test_a_key_cannot_lead_out_of_the_folder(call: Run, run: Path, tmp_path: Path) -> None:
    edit(run, 1, lambda event: event.update(key="../../../../outside"))
    for module in ("nas.leaderboard", "nas.export"):
        done = call(module, "run=run")
        assert done.returncode == 2
        assert "asked.key: String should match pattern" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_key_that_is_not_that_of_its_spec_names_no_file(call: Run, run: Path) -> None:
    edit(run, 1, lambda event: event.update(key="0123456789abcdef"))
    assert call("nas.export", "run=run", "top=5").returncode == 0
    assert not list((run / "export").glob("*0123456789abcdef*"))


def test_messages_of_a_journal_cannot_steer_the_terminal(call: Run, run: Path) -> None:
    def exploit(event: dict[str, Any]) -> None:
        message = "\x1b]0;owned\x07\x1b[2J[bold]gone[/bold]\r"
        event.update(status="failed", failure={"kind": "error", "message": message})
        event.pop("reward")

    edit(run, 2, exploit)
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=6")
    assert done.returncode == 0, done.stderr
    shown = done.stdout + call("nas.leaderboard", "run=run").stdout
    assert "[bold]gone[/bold]" in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown)


@pytest.mark.parametrize("rung", [7, 5_000_000])
def test_a_forged_rung_is_one_line(call: Run, run: Path, rung: int) -> None:
    edit(run, 1, lambda event: event.update(rung=rung))
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=6")
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*(promotions beyond 1 rungs|asked.rung: Input should be less .*)\n", done.stderr)


@pytest.mark.parametrize("target", ["../outside", "replays"])
def test_replays_are_not_written_through_a_link(call: Run, run: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (run / "replays").symlink_to(target)
    done = call("nas.replay", *TINY_LANDSCAPE, "top=1")
    assert done.returncode == 2
    assert "replays leads out of the run folder" in done.stderr
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_the_run_folder_is_not_written_through(call: Run, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (run / "best").iterdir():
        path.unlink()
    (run / "best").rmdir()
    (run / "best").symlink_to(outside)
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=6")
    assert done.returncode == 2
    assert re.fullmatch(r"error: \S+best leads out of the run folder.*\n", done.stderr)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["best", pytest.param("tensorboard", marks=pytest.mark.long)])
def test_a_link_that_comes_while_a_search_runs_is_not_written_through(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (outside / "trials" / "00000").mkdir(parents=True)
    (outside / "01-0123456789abcdef.json").touch()
    before = sorted(outside.rglob("*"))

    process = start(
        "nas.search", (*TINY_LANDSCAPE, "tracking.tensorboard.per_trial=true", "num_trials=100000"), tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("[1/100000]")
    taken = tmp_path / "run" / name
    if taken.exists():
        taken.rename(tmp_path / "moved")
    taken.symlink_to(outside)

    # Until something was to be written there: trackers are some results behind, and specs are written at the end.
    message = f"{name} is a link, which is not followed; put a folder in its place"
    lines = [process.stdout.readline() for _ in range(20)]
    while name == "tensorboard" and message not in lines[-1] and len(lines) < 2000:
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert message in "".join(lines) + stdout + stderr
    assert process.returncode == (2 if name == "best" else 130)
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize("controller", ["ppo", "pareto_evolution", "local_search"])
def test_forged_decisions_are_one_line_whatever_controller_searches(call: Run, tmp_path: Path, controller: str) -> None:
    search = (*TINY_LANDSCAPE, f"controller={controller}", "reward=tradeoff")
    assert call("nas.search", *search).returncode == 0
    edit(tmp_path / "run", 1, lambda event: event.update(decisions=[99, *event["decisions"][1:]]))
    for module, arguments in (("nas.search", (*search, "num_trials=9")), ("nas.replay", (*search, "top=1"))):
        done = call(module, *arguments)
        assert done.returncode == 2
        assert re.fullmatch(r"error: \S+journal\.jsonl, line 2: asked\.decisions: .* got 99\n", done.stderr)
