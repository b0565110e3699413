"""Searches whose candidates have scales of their own."""

import json
from pathlib import Path

from nas.exporting.specs import export_best
from nas.record.architecture import find_architecture
from nas.record.journal import read_record
from search_space import ModelScale, read_spec
from tests.conftest import Run

SEARCH = (
    "task=landscape",
    "scale=spinenet-49",
    "executor=local",
    "tracking=none",
    "controller=random",
    "run=runs/scaled",
)


def test_a_search_of_scales_keeps_shows_and_exports_each_with_its_own(tmp_path: Path, call: Run) -> None:
    done = call("nas.search", *SEARCH, "space=spinenet_scaling", "num_trials=6")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "scaled"
    record = read_record(folder)
    assert len({trial.scale for trial in record.trials.values()}) > 1
    assert all(trial.key == trial.candidate.key for trial in record.trials.values())
    assert "at 640px w" in done.stdout

    best = export_best(record, folder)[0]
    found = find_architecture(str(folder))
    assert read_spec(best).scale == found.scale != ModelScale()
    report = call("nas.report", "run=runs/scaled")
    assert report.returncode == 0, report.stderr

    # The search resumes, and decodes what is on record to the same scales.
    more = call("nas.search", *SEARCH, "space=spinenet_scaling", "num_trials=8")
    assert more.returncode == 0, more.stderr
    assert len(read_record(folder).trials) == 8


def test_a_search_without_scales_writes_no_word_of_them(tmp_path: Path, call: Run) -> None:
    done = call("nas.search", *SEARCH, "num_trials=2")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "runs" / "scaled" / "journal.jsonl").read_text().splitlines()
    asked = [event for event in map(json.loads, lines) if event["event"] == "asked"]
    assert len(asked) == 2
    assert all("scale" not in event for event in asked)
