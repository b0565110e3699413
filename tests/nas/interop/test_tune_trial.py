"""What a trial of Ray Tune reports is what the search is told, by way of Tune's flat results."""

import math
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.utils import flatten_dict

from nas.engine.job import Job
from nas.engine.reward import MetricReward
from nas.executors.base import run_job
from nas.interop.tune_trial import JOB, FailedTrialError, outcome_of, trainable_of
from nas.record.trial import Failure
from proxy_tasks import Fidelity
from proxy_tasks.landscape import Landscape
from search_space import Candidate, published_spec

JOB_OF_49 = Job(3, Candidate(published_spec("spinenet-49")), Fidelity(1), seed=0)
REWARD = MetricReward("ap")


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what is reported, as Tune hands it to a searcher; a trainable can report inside a trial of Tune alone."""
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", lambda figures: reports.append(flatten_dict(figures)))
    return reports


def test_an_evaluation_comes_back_as_it_went(reports: list[dict[str, Any]], tmp_path: Path) -> None:
    task = Landscape()
    trainable_of(task, REWARD, tmp_path / "run")({JOB: JOB_OF_49})
    (figures,) = reports
    assert figures["reward"] == figures["ap"]
    assert outcome_of(3, figures, task, REWARD) == run_job(task, JOB_OF_49)


def test_a_failure_is_reported_and_raised(reports: list[dict[str, Any]], tmp_path: Path) -> None:
    task = Landscape(failure_rate=1.0)
    with pytest.raises(FailedTrialError):
        trainable_of(task, REWARD, tmp_path / "run")({JOB: JOB_OF_49})
    (figures,) = reports
    assert math.isnan(figures["ap"])
    assert math.isnan(figures["reward"])
    failure, expected = outcome_of(3, figures, task, REWARD).result, run_job(task, JOB_OF_49).result
    assert isinstance(failure, Failure)
    assert isinstance(expected, Failure)
    assert (failure.kind, failure.message) == (expected.kind, expected.message)


def test_a_metric_that_a_trainable_leaves_out_is_a_failure() -> None:
    outcome = outcome_of(0, {"macs": 3.0}, Landscape(), REWARD)
    assert outcome.result == Failure("error", "the trainable reported no ap")
