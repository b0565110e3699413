"""Baselines as a user has them: beside a search, in tables and pages, in replays, and after a kill."""

import csv
import io
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nas.engine.baselines import open_baselines
from nas.options.command_line import compose
from nas.record.baselines import FOLDER, read_baselines
from nas.record.journal import FILE_NAME, read_record
from nas.setup import build_setup
from proxy_tasks.landscape import Landscape
from search_space import Candidate, published_spec
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run, start

NOISY = (*TINY_LANDSCAPE, "task.noise=0.1", "tracking=none")


def events(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("time", "seconds")} for line in lines]


def test_a_search_is_the_same_with_baselines_and_says_how_its_best_stands_to_them(call: Run, tmp_path: Path) -> None:
    without, done = call("nas.search", *NOISY, "run=without"), call("nas.search", *NOISY, "baselines=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert events(tmp_path / "run")[1:] == events(tmp_path / "without")[1:]
    assert "aseline" not in without.stdout
    assert not (tmp_path / "without" / FOLDER).exists()

    (baseline,) = read_baselines(tmp_path / "run")
    expected = Landscape(noise=0.1).evaluate(
        Candidate(published_spec("spinenet-49")), fidelity=setup_of().fidelity, seed=0
    )
    assert baseline.metrics == expected.metrics
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"baseline spinenet-49  reward {baseline.reward:.4f}  ")
    assert lines[1].startswith("[1/5] trial 0 ")

    best = max(trial.reward or 0.0 for trial in read_record(tmp_path / "run").trials.values())
    above = best - (baseline.reward or 0.0)
    found = re.search(r"^Baselines: (.*)\. Each is one training, and the best of 5 is partly the luckiest; an interval "
                      r"takes several seeds: python -m nas\.replay .* top=3 seeds=3$", done.stdout, re.M)  # fmt: skip
    assert found is not None
    side = "above" if above > 0 else "below"
    assert found[1] == (f"the best, reward {best:.4f}, is {abs(above):.4f} {side} spinenet-49 ({baseline.reward:.4f})")


def setup_of(*arguments: str) -> Any:  # noqa: ANN401  # read for one of its parts
    return build_setup(compose("config", [*NOISY, *arguments]))


def test_where_training_has_no_chance_in_it_no_interval_is_proposed_anywhere(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, "tracking=none", "baselines=true")
    assert re.search(
        r"^Baselines: the best, reward \S+, is \S+ (above|below) spinenet-49 \(\S+\)\.$", done.stdout, re.M
    )

    assert call("nas.report", "run=run").returncode == 0
    replayed = call("nas.replay", "run=run", "top=1")
    assert "baseline spinenet-49: reward in search" in replayed.stdout
    page = (tmp_path / "run" / "report.html").read_text()
    for shown in (call("nas.leaderboard", "run=run").stdout, replayed.stdout, page):
        assert "seeds=3" not in shown
        assert "no interval" not in shown


def test_a_finished_run_of_an_older_version_gets_its_baselines_once_and_nothing_else(call: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert call("nas.search", *NOISY).returncode == 0
    journal = run / FILE_NAME
    journal.write_text(journal.read_text().replace('"baselines":false,', ""))
    before = journal.read_bytes()
    assert call("nas.search", "run=run").returncode == 0
    assert not (run / FOLDER).exists()

    done = call("nas.search", "run=run", "baselines=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "baseline spinenet-49  reward" in done.stdout
    written = (run / FOLDER / "spinenet-49.json").stat().st_mtime_ns
    again = call("nas.search", "run=run", "baselines=true")
    assert "baseline spinenet-49  reward" not in again.stdout
    # They are shown whether or not they are asked for again.
    assert "Baselines: " in call("nas.search", "run=run").stdout
    assert (run / FOLDER / "spinenet-49.json").stat().st_mtime_ns == written
    assert journal.read_bytes() == before


def test_baselines_stand_below_a_leaderboard_in_every_format(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY, "baselines=true").returncode == 0
    (baseline,) = read_baselines(tmp_path / "run")
    for form in ("table", "markdown"):
        shown = call("nas.leaderboard", "run=run", "top=2", f"format={form}").stdout
        last_row, _, _ = shown.rpartition("\n\nSingle trainings are ranked")
        words = re.split(r"[\s|]+", last_row.splitlines()[-1].strip("| "))
        assert words[:3] == ["baseline", "spinenet-49", f"{baseline.reward:.4f}"]

    rows = list(csv.DictReader(io.StringIO(call("nas.leaderboard", "run=run", "format=csv").stdout)))
    assert [row["baseline"] for row in rows] == [""] * (len(rows) - 1) + ["spinenet-49"]
    assert (rows[-1]["trial"], float(rows[-1]["macs"])) == ("", baseline.metrics["macs"])

    # By another reward as trials are, and left out where a condition leaves it out.
    target = ("reward=targets", "reward.macs.target=1e6", "format=json")
    rows = json.loads(call("nas.leaderboard", "run=run", *target).stdout)
    weight = setup_of("reward=targets", "reward.macs.target=1e6").reward(baseline.metrics)
    assert (rows[-1]["baseline"], rows[-1]["reward"], rows[-1]["trial"]) == ("spinenet-49", weight, None)
    kept = call("nas.leaderboard", "run=run", f"where=macs!={baseline.metrics['macs']!r}", "format=json").stdout
    assert all("baseline" not in row for row in json.loads(kept))


def test_a_report_has_the_baselines_below_the_best_and_says_that_they_are(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY, "baselines=true").returncode == 0
    (baseline,) = read_baselines(tmp_path / "run")
    failed = baseline.model_copy(update={"name": "other", "status": "failed", "reward": None})
    (tmp_path / "run" / FOLDER / "other.json").write_text(failed.model_dump_json())
    assert call("nas.report", "run=run").returncode == 0
    page = (tmp_path / "run" / "report.html").read_text()
    (section,) = re.findall(r"<section><h2>Baselines</h2>.*?</section>", page)
    best = max(trial.reward or 0.0 for trial in read_record(tmp_path / "run").trials.values())
    assert f"{best:.4f}</td>" in section
    assert f'<td>baseline spinenet-49</td><td class="number">{baseline.reward:.4f}</td>' in section
    assert f"{best - (baseline.reward or 0.0):+.4f}</td>" in section
    assert "<td>baseline other</td>" in section
    assert page.index("Best architectures") < page.index("<h2>Baselines") < page.index("What it costs")


def test_a_replay_trains_the_baselines_that_its_run_has_and_a_study_none(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY, "baselines=true").returncode == 0
    done = call("nas.replay", "run=run", "top=2", "fidelity.epochs=50")
    assert (done.returncode, done.stderr) == (0, "")
    (before,) = read_baselines(tmp_path / "run")
    (now,) = read_baselines(tmp_path / "run" / "replays" / "epochs50.0-seed0")
    assert now.reward != before.reward
    assert f"baseline spinenet-49: reward in search {before.reward:.4f}, reward now {now.reward:.4f}\n" in done.stdout
    again = r"python -m nas\.replay run=run top=2 fidelity\.epochs=50 seeds=3\n"
    assert re.search(rf"how far seeds differ is not known\. This tells: \S*{again}", done.stdout)
    assert re.search(rf"Baselines: no interval to spinenet-49; it takes several seeds .*: \S*{again}", done.stdout)
    more = call("nas.replay", "run=run", "top=2", "seeds=2", "fidelity.epochs=50").stdout
    assert "epochs50.0-seed0" in more
    assert more.count("baseline spinenet-49  reward") == 1
    interval = r"Baselines: the best of 2 means, \S+, is .* spinenet-49 \(\S+\): \S+, 95 % interval \S+ to "
    assert re.search(interval, more)

    study = call("nas.proxy", "run=run", "num_architectures=8", "seeds=2", "target=[task.seed=0,fidelity.epochs=9]")
    assert study.returncode == 0, study.stderr
    assert list((tmp_path / "run" / "proxy").rglob(FOLDER)) == []


@pytest.mark.long
def test_a_replay_trains_baselines_as_it_is_told_and_else_where_its_run_has_them(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *NOISY, "baselines=true").returncode == 0
    assert call("nas.search", *NOISY, "run=without").returncode == 0

    def names(run: str) -> list[str]:
        found = (tmp_path / run / "replays").glob(f"*/{FOLDER}/*.json")
        return sorted(path.parent.parent.name for path in found)

    told = call("nas.replay", "run=run", "top=1", "baselines=false")
    assert (told.returncode, told.stderr, names("run")) == (0, "", [])
    assert "spinenet-49" not in told.stdout
    assert call("nas.replay", "run=run", "top=1").returncode == 0
    assert names("run") == ["epochs5.0-seed1"]

    assert call("nas.replay", "run=without", "top=1").returncode == 0
    assert names("without") == []
    assert call("nas.replay", "run=without", "top=1", "baselines=true").returncode == 0
    assert names("without") == ["epochs5.0-seed1"]
    # A run that got its baselines later has them too, though its record says that it was begun without.
    assert call("nas.search", "run=without", "baselines=true").returncode == 0
    assert call("nas.replay", "run=without", "top=1", "seeds=2").returncode == 0
    assert names("without") == ["epochs5.0-seed1", "epochs5.0-seed2"]


@pytest.mark.slow
@pytest.mark.long
def test_a_search_that_is_killed_at_its_baselines_trains_the_missing_one_and_no_other_again(
    call: Run, tmp_path: Path
) -> None:
    arguments = (*TINY_SEARCH, "executor=local", "baselines=true", "num_trials=2")
    run, names = tmp_path / "run", ("spinenet-49", "r50-fpn")
    process = start("nas.search", arguments, tmp_path)
    while not (run / FOLDER / "spinenet-49.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert [baseline.name for baseline in open_baselines(run, names)] == ["r50-fpn"]
    first = (run / FOLDER / "spinenet-49.json").read_bytes()

    done = call("nas.search", *arguments)
    assert done.returncode == 0, done.stderr
    assert "baseline spinenet-49  " not in done.stdout
    assert "baseline r50-fpn  reward" in done.stdout
    assert (run / FOLDER / "spinenet-49.json").read_bytes() == first

    # As one that was not killed, and one without baselines.
    whole = call("nas.search", *arguments, "run=whole")
    assert whole.returncode == 0, whole.stderr
    assert {one.name: one.metrics for one in read_baselines(run)} == {
        one.name: one.metrics for one in read_baselines(tmp_path / "whole")
    }
    assert events(run)[1:] == events(tmp_path / "whole")[1:]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_baselines_are_trained_by_the_workers_of_the_search(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_SEARCH, "baselines=true", "num_trials=2")
    assert (done.returncode, done.stderr) == (0, "")
    run = tmp_path / "run"
    (numerics,) = {trial.numerics for trial in read_record(run).trials.values()}
    assert numerics is not None
    assert {one.name: one.numerics for one in read_baselines(run)} == {"spinenet-49": numerics, "r50-fpn": numerics}
    assert done.stdout.count("computing in ") == 1
    assert all(one.metrics["macs"] > 1e6 and one.seconds["train"] > 0 for one in read_baselines(run))
