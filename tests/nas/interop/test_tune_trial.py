"""What a trial of Ray Tune reports, as the search is told it; `test_tune_run.py` has whole trials."""

from nas.engine.reward import MetricReward
from nas.interop.tune_trial import outcome_of
from nas.record.trial import Failure
from proxy_tasks import Evaluation, Numerics
from proxy_tasks.landscape import Landscape

REWARD = MetricReward("ap")


def test_a_metric_that_a_trainable_leaves_out_is_a_failure() -> None:
    outcome = outcome_of(0, {"macs": 3.0}, Landscape(), REWARD)
    assert outcome.result == Failure("error", "the trainable reported no ap")


def test_nested_names_come_back_as_values() -> None:
    numerics = Numerics("float32", "cpu", 1)
    reported = {
        "ap": 0.5,
        "seconds/train": 2.0,
        "loss_curve": [2.0, 1.0],
        "numerics/precision": "float32",
        "numerics/device": "cpu",
        "numerics/threads": 1,
    }
    outcome = outcome_of(3, reported, Landscape(), REWARD)
    assert outcome.numerics == numerics
    assert outcome.result == Evaluation({"ap": 0.5}, seconds={"train": 2.0}, loss_curve=(2.0, 1.0))
