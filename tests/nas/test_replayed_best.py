"""The best of a run once some were replayed: its summary, the specs in its folder, and baselines of replays alone."""

import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import TINY_LANDSCAPE, Run

NOISY = (*TINY_LANDSCAPE, "task.noise=0.3", "tracking=none")


def rows_of(call: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(call("nas.leaderboard", "run=run", "format=json").stdout)
    return rows


def best_keys(run: Path) -> list[str]:
    return [path.stem.partition("-")[2] for path in sorted((run / "best").glob("*.json"))]


def test_specs_and_summary_follow_the_means_over_replays(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY).returncode == 0
    by_one_training = best_keys(tmp_path / "run")
    assert by_one_training == [row["key"] for row in rows_of(call)[:3]]

    done = call("nas.replay", "run=run", "top=5", "seeds=2")
    assert (done.returncode, done.stderr) == (0, "")
    rows = rows_of(call)
    assert best_keys(tmp_path / "run") == [row["key"] for row in rows[:3]] != by_one_training
    assert re.search(rf"^Specs of the best 3: run/best/ \(01-{rows[0]['key']}\.json, ", done.stdout, re.M)

    # A search that goes on ranks and exports so too, new trials below the replayed.
    more = call("nas.search", "run=run", "num_trials=6").stdout
    assert best_keys(tmp_path / "run") == [row["key"] for row in rows[:3]]
    assert re.search(rf"^ *1 +{rows[0]['trial']} +{rows[0]['replay.mean']:.4f} ", more, re.M)
    assert "The standard deviation between seeds is " in more


def test_a_replay_that_does_not_compare_leaves_the_specs(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY).returncode == 0
    before = best_keys(tmp_path / "run")
    done = call("nas.replay", "run=run", "top=5", "fidelity.epochs=50")
    assert done.returncode == 0
    assert "Specs of the best" not in done.stdout
    assert best_keys(tmp_path / "run") == before


def test_baselines_that_a_replay_alone_has_trained_stand_below_the_leaderboard_and_in_the_report(
    call: Run, tmp_path: Path
) -> None:
    assert call("nas.search", *NOISY).returncode == 0
    assert call("nas.replay", "run=run", "top=2", "seeds=2", "baselines=true").returncode == 0
    (baseline,) = [row for row in rows_of(call) if "baseline" in row]
    assert (baseline["baseline"], baseline["reward"], baseline["replay.trainings"]) == ("spinenet-49", None, 2)

    shown = call("nas.leaderboard", "run=run").stdout
    assert re.search(r"^baseline .*spinenet-49", shown, re.M)
    assert "running" not in shown
    assert call("nas.report", "run=run").returncode == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "baseline spinenet-49" in page
