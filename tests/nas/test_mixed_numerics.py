"""Results of one machine beside those of another: every command that shows or uses them says so."""

import csv
from pathlib import Path

import pytest

from nas.record.journal import read_record
from proxy_tasks import Numerics
from tests.conftest import Run

MODULE = '''
import dataclasses
import os

from proxy_tasks import Numerics
from proxy_tasks.landscape import Landscape


class Rounded(Landscape):
    """The landscape, on a machine that a variable names."""

    @property
    def metric_names(self):
        return (*super().metric_names, "precision")

    def evaluate(self, spec, **arguments):
        found = super().evaluate(spec, **arguments)
        return dataclasses.replace(found, metrics={**found.metrics, "precision": 0.5})

    def numerics(self):
        return Numerics("float32", os.environ["MACHINE"], threads=2)
'''
SEARCH = ("--config-dir", "mine", "task=rounded", "executor=local", "tracking=none", "run=run")


def test_a_run_that_mixes_numerics_says_so_wherever_its_results_are_used(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rounded.py").write_text(MODULE)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "rounded.yaml").write_text("# Rounded.\n_target_: rounded.Rounded\n")
    monkeypatch.syspath_prepend(tmp_path)

    monkeypatch.setenv("MACHINE", "one")
    first = call("nas.search", *SEARCH, "num_trials=1")
    assert read_record(tmp_path / "run").trials[0].numerics == Numerics("float32", "one", 2)
    assert first.stdout.count("computing in float32 on one, 2 threads\n") == 1
    assert "mixed" not in first.stdout
    assert "computed in" not in call("nas.leaderboard", "run=run").stdout

    # Another machine, and quiet: what differs is said all the same.
    monkeypatch.setenv("MACHINE", "two")
    resumed = call("nas.search", *SEARCH, "num_trials=3", "-q")
    assert resumed.stdout == (
        "computing in float32 on two, 2 threads; results so far: 1 in float32 on one, 2 threads; rewards of one "
        "arithmetic compare, and only those are reused\n"
    )

    # The summary, the leaderboard and the report.
    mixed = "mixed: 3 results, 2 in float32 on two, 2 threads; 1 in float32 on one, 2 threads. Rewards of one"
    assert mixed in call("nas.search", *SEARCH, "num_trials=3").stdout
    table = call("nas.leaderboard", "run=run").stdout
    assert mixed in table
    assert "computed in" in table
    rows = list(csv.DictReader(call("nas.leaderboard", "run=run", "format=csv").stdout.splitlines()))
    assert [(row["numerics.precision"], row["numerics.threads"]) for row in rows] == [("float32", "2")] * 3
    assert sorted(row["numerics.device"] for row in rows) == ["one", "two", "two"]
    # A metric of the task's own keeps its name.
    assert [row["precision"] for row in rows] == ["0.5"] * 3
    call("nas.report", "run=run")
    assert f"M{mixed[1:]}" in (tmp_path / "run" / "report.html").read_text()

    # A replay and a warm start train again what rewards of both have chosen.
    replay = call("nas.replay", *SEARCH, "top=3")
    assert "computing in float32 on two, 2 threads; in the search: 1 in float32 on one, 2 threads" in replay.stdout
    assert "mixed: 6 results, 5 in float32 on two" in replay.stdout
    # It trained as the search did, and so stands in the leaderboard and the report.
    assert "mixed: 6 results, 5 in float32 on two" in call("nas.leaderboard", "run=run").stdout
    call("nas.report", "run=run")
    assert "Mixed: 6 results, 5 in float32 on two" in (tmp_path / "run" / "report.html").read_text()
    warm = call("nas.search", *SEARCH, "run=warm", "num_trials=1", "warm_start.run=run")
    assert "computing in float32 on two, 2 threads; best of run: 1 in float32 on one, 2 threads" in warm.stdout
