"""Searches that stop trainings, and the command that says what rules would have saved and cost, as a user has them."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from nas.record.journal import read_record
from nas.record.stopping import Stopping
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run, start
from tests.nas.assessment.test_stopping import searched
from tests.nas.test_search_command import events, num_told, without_timings

# Four steps each, of which the first is the same for all architectures.
PLAIN = (*TINY_SEARCH, "executor=local", "fidelity.epochs=1", "num_trials=8", "tracking=none")
STOPPED = (*PLAIN, "stopping.shares=[0.5]", "stopping.worst=0.8", "stopping.min_results=2")


@pytest.mark.long
def test_a_killed_search_that_stops_trainings_equals_one_that_was_not_killed_and_shows_them(
    call: Run, tmp_path: Path
) -> None:
    process = start("nas.search", STOPPED, tmp_path)
    while num_told(tmp_path / "run") < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = events(tmp_path / "run")

    done = call("nas.search", *STOPPED)
    assert done.returncode == 0, done.stderr
    assert events(tmp_path / "run")[: len(before)] == before
    assert call("nas.search", *STOPPED, "run=whole").returncode == 0
    assert without_timings(tmp_path / "run")[1:] == without_timings(tmp_path / "whole")[1:]

    # Shown wherever trials are.
    trials = read_record(tmp_path / "run").trials
    stopped = [trial for trial in trials.values() if trial.status == "stopped"]
    assert stopped
    assert "stopped at 50% of its training" in done.stdout
    assert f", {len(stopped)} stopped; " in done.stdout
    assert f"{len(stopped)} stopped" in call("nas.leaderboard", "run=run").stdout
    assert call("nas.report", "run=run").returncode == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<dt>stopped early</dt>" in page
    assert "Grey ones were stopped where they end." in page

    # What is trained again is trained to its end, and another rule is another run.
    done = call("nas.replay", *STOPPED[:-1], "stopping.min_results=2", "top=2", "fidelity.epochs=1", "seeds=1")
    assert done.returncode == 0, done.stderr
    (replay,) = (tmp_path / "run" / "replays").iterdir()
    assert all(trial.status == "completed" and not trial.loss_limits for trial in read_record(replay).trials.values())
    done = call("nas.search", *STOPPED, "stopping.worst=0.5", "num_trials=9")
    assert done.returncode == 2
    assert "was made with stopping.worst=0.8, now it is 0.5" in done.stderr

    # How they would have ended is not known.
    done = call("nas.stopping", "run")
    assert (done.returncode, done.stderr) == (
        2,
        "error: run: it stopped trainings itself, so how they would have ended is not known\n",
    )


def test_rules_are_judged_by_searches_that_trained_everything(call: Run, tmp_path: Path) -> None:
    for seed in range(2):
        searched(tmp_path / "runs" / str(seed), Stopping(), num_trials=30, seed=seed)
    asked = ("runs/0", "runs/1", "shares=[0.5,0.7]", "worst=[0.1,0.9]", "min_results=2")
    done = call("nas.stopping", *asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "60 trainings of 2 searches" in done.stdout
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [row[:2] for row in rows] == [
        [shares, worst] for shares in ("[0.5]", "[0.7]", "[0.5,0.7]") for worst in ("0.1", "0.9")
    ]
    assert "6 of the best are too few to tell: where none of them is stopped, it takes 72" in done.stdout
    assert "Each search under the rule that the others would have chosen" in done.stdout

    found = json.loads(call("nas.stopping", *asked, "format=json").stdout)
    assert [rule["stopping"]["shares"] for rule in found["rules"][::2]] == [[0.5], [0.7], [0.5, 0.7]]
    assert all(rule["num_trainings"] == 60 and rule["num_top"] == 6 for rule in found["rules"])
    assert len(found["left_out"]) == 2

    # Where every rule is too bold nothing is chosen.
    bold = call("nas.stopping", "runs/0", "runs/1", "shares=[0.5]", "worst=[0.99]", "min_results=1")
    assert "For none of the searches would the others have chosen a rule" in bold.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stopping.shares=[0.25]",), "stopping.shares: Landscape cannot end a training early"),
        (("stopping.shares=[1.5]",), "stopping: a share of the training must be above 0 and below 1, got 1.5"),
        (("stopping.shares=0.25",), "stopping.shares: "),
        (("stopping.worst=1",), "stopping: worst must be above 0 and below 1, got 1.0"),
        (("stopping.shares=[much]",), "stopping.shares"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_one_line_before_anything_is_made(
    call: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_mistakes_of_the_command_are_one_line(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        (("run",), "run: none of its trials has both a reward and a loss curve"),
        (("nowhere",), "no run at nowhere: there is no such folder"),
        (("empty",), "run: none of these holds a run that has begun; name run folders, as runs/*"),
        (("run", "worst=[]"), "worst: needs at least one"),
        (("run", "worst=[2]"), "worst must be above 0 and below 1, got 2.0"),
        (("run", "shares=[0.5,0.5]"), "shares must differ, got [0.5, 0.5]"),
    ):
        done = call("nas.stopping", *arguments)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"error: {message}")
