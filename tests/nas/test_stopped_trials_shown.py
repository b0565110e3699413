"""Stopped trials as people see them: in lines, in the panel, in trackers and on the report's page."""

import json
from pathlib import Path

import pytest

from nas.record.record import Record
from nas.record.stopping import Stopping
from nas.record.trial import Trial, best_trials
from nas.reporting.loss_curves import loss_curves
from nas.terminal.status import Tally
from nas.terminal.tables import describe
from nas.tracking.results import ResultReader
from tests.conftest import Run
from tests.nas.assessment.test_stopping import searched
from tests.nas.reporting.reported_runs import config_of, reported

RULE = Stopping((0.25, 0.5), min_results=10)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return searched(tmp_path / "run", RULE, 40, config=config_of())


def stopped_of(record: Record) -> list[Trial]:
    return [trial for trial in record.trials.values() if trial.status == "stopped"]


def test_a_stopped_trial_is_described_by_the_share_that_was_trained(record: Record) -> None:
    words = {describe(trial) for trial in stopped_of(record)}
    assert {text.partition(" of ")[0] for text in words} == {"stopped at 25%", "stopped at 50%"}
    assert all("MACs" in text and " s" in text for text in words)


def test_the_panel_and_the_rankings_count_stopped_trials_and_rank_none_of_them(record: Record) -> None:
    stopped = stopped_of(record)
    standing = Tally(record, 40, 0.0).standing(1.0)
    assert standing.statuses == {"completed": 40 - len(stopped), "stopped": len(stopped)}
    assert not {trial.number for trial in best_trials(record.trials)} & {trial.number for trial in stopped}


def test_trackers_get_the_part_of_its_loss_curve_and_no_failure(record: Record) -> None:
    pages = {result.trained.number: result.page() for result in ResultReader(record).read() if result.trained}
    assert set(pages) == set(record.trials)
    for trial in stopped_of(record):
        page = pages[trial.number]
        assert page.is_completed
        assert page.losses[-1][0] == round(100 * (trial.stopped_at or 0))
        assert len(page.losses) == len(trial.loss_curve)
        assert "reward" not in page.figures


def test_the_report_draws_their_curves_as_far_as_they_go_behind_the_others(
    record: Record, tmp_path: Path, call: Run
) -> None:
    curves = loss_curves(reported(tmp_path / "run"))
    stopped = stopped_of(record)
    assert curves.num_found == len(curves.index) == 40
    assert list(curves.index[-len(stopped) :]) == [trial.number for trial in stopped]
    assert [curves.done[curves.index.index(trial.number)] for trial in stopped] == [t.stopped_at for t in stopped]
    assert set(curves.done[: -len(stopped)]) == {1.0}

    assert call("nas.report", "run=run").returncode == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"<dt>stopped early</dt><dd>{len(stopped)}</dd>" in page
    assert "Grey ones were stopped where they end." in page
    assert "No trial failed." in page


def test_a_leaderboard_counts_them_and_ranks_none(record: Record, call: Run) -> None:
    stopped = stopped_of(record)
    assert f"{len(stopped)} stopped" in call("nas.leaderboard", "run=run").stdout
    rows = json.loads(call("nas.leaderboard", "run=run", "top=null", "format=json").stdout)
    assert len(rows) == 40 - len(stopped)
    assert not {row["key"] for row in rows} & {trial.key for trial in stopped}
