"""Networks that promotions continue from, in a search with real training: those of the rung below, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.engine.job import Outcome
from nas.executors import run_job
from nas.record.journal import Journal, read_record
from nas.record.promotion import Promotion
from proxy_tasks import Evaluation, silent
from tests.nas.engine.test_loop import make_search
from tests.proxy_tasks.test_task_contract import tiny_detection

PROMOTION = Promotion(num_rungs=3, reduction=2)
NUM_TRIALS = 7
"""Four architectures: two of them are promoted once, and the best twice."""
WORST = Evaluation({"ap": -1.0})


@pytest.mark.long
def test_a_trial_that_is_run_again_starts_from_the_rung_below_and_not_from_what_its_own_rung_has_left(
    tmp_path: Path,
) -> None:
    task = replace(tiny_detection(tmp_path / "data"), precision="float32")
    task.prepare(silent)
    run = tmp_path / "run"

    with Journal(run, {}) as journal:
        search = make_search(journal, NUM_TRIALS, promotion=PROMOTION)
        trials = journal.record.trials
        while (job := search.start_trial()) is not None:
            # The first architecture is trained, and is promoted twice, as no other is any good.
            if job.candidate.spec != trials[0].spec:
                search.finish_trial(Outcome(job.trial, WORST))
                continue

            # Killed after its network was kept and before its result was on record, then run again.
            outcome = run_job(task, job)
            if trials[job.trial].rung == 1:
                attempt, outcome = outcome, run_job(task, job)
                assert isinstance(attempt.result, Evaluation)
                assert isinstance(outcome.result, Evaluation)
                assert outcome.result.metrics == attempt.result.metrics
                assert outcome.result.loss_curve == attempt.result.loss_curve
            search.finish_trial(outcome)

    trained = [trial for trial in read_record(run).trials.values() if trial.spec == trials[0].spec]
    assert {trial.rung: trial.metrics.get("epochs_before") for trial in trained} == {0: None, 1: 1.0, 2: 2.0}

    # Each file holds the training of its own rung.
    kept = {path.name: torch.load(path, weights_only=True)["epochs"] for path in (run / "weights").iterdir()}
    assert kept == {f"{trials[0].key}-rung{rung}.pt": 2.0**rung for rung in (0, 1)}
