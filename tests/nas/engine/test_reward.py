import math
from typing import Literal

import pytest

from nas.engine.limits import Limits
from nas.engine.reward import MetricReward, Reward, Target, TargetReward, WeighedReward, objectives_of

METRICS = {"ap": 0.4, "mask_ap": 0.3, "macs": 2e9, "params": 5e6, "latency_ms": 8.0}


def test_a_metric_as_it_is() -> None:
    assert MetricReward("ap")(METRICS) == 0.4
    assert MetricReward("macs")(METRICS) == 2e9


@pytest.mark.parametrize(
    ("macs", "expected"),
    [
        (Target(1e9), 0.4 / 2),
        (Target(2e9), 0.4),
        (Target(4e9), 0.4),
        (Target(4e9, form="soft"), 0.4 * 2),
        (Target(1e9, weight=2), 0.4 / 4),
        # MnasNet's soft form: doubling the cost takes 5 % off (section 3 of the paper).
        (Target(1e9, weight=0.07, form="soft"), 0.4 * 0.953),
    ],
)
def test_ap_times_what_missing_the_target_means(macs: Target, expected: float) -> None:
    assert TargetReward("ap", macs=macs)(METRICS) == pytest.approx(expected, rel=1e-3)


def test_several_targets_multiply() -> None:
    reward = TargetReward("ap", macs=Target(1e9), params=Target(2.5e6, weight=2), latency_ms=Target(4, form="soft"))
    assert reward(METRICS) == pytest.approx(0.4 * 0.5 * 0.25 * 0.5)


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (MetricReward("ap"), (0.4,)),
        (MetricReward("ap", ("params", "macs")), (0.4, -5e6, -2e9)),
        (TargetReward("ap", latency_ms=Target(4), macs=Target(1), params=Target()), (0.4, -8.0, -2e9)),
        # Each of its metrics is to be high.
        (WeighedReward({"ap": 0.5, "mask_ap": 2.0, "macs": None}), (0.4, 0.3)),
    ],
)
def test_objectives_are_the_metric_and_the_costs_negative(reward: Reward, expected: tuple[float, ...]) -> None:
    assert objectives_of(reward, METRICS) == expected
    assert isinstance(reward, Reward)


def test_a_reward_of_a_metric_that_is_not_finite_is_not_finite() -> None:
    broken = METRICS | {"ap": math.nan}
    assert math.isnan(TargetReward("ap", macs=Target(1e9))(broken))
    assert math.isnan(MetricReward("ap")(broken))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"target": 0}, "target must be from 1e-12 to .*, got 0"),
        ({"target": math.inf}, "target must be from 1e-12 to .*, got inf"),
        ({"weight": 0}, "weight must be above 0 and at most 10, got 0"),
        ({"weight": 500}, "weight must be above 0 and at most 10, got 500"),
        ({"form": "firm"}, "form must be hard or soft, got 'firm'"),
    ],
)
def test_impossible_targets_are_refused(target: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target(**target)  # type: ignore[arg-type]  # of the wrong range


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"needs a target: macs\.target$"),
        (("macs", "params", "energy_j"), r"needs a target: macs\.target, params\.target or energy_j\.target$"),
    ],
)
def test_no_target_at_all_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TargetReward("ap", **{name: Target() for name in names})


def test_limits_name_what_is_over() -> None:
    assert Limits().names == ()
    assert Limits().violation({}) is None
    limits = Limits({"macs": 2e9, "params": 4e6, "latency_ms": None})
    assert limits.names == ("macs", "params")
    assert limits.violation(METRICS) == "params 5,000,000, limit 4,000,000"
    assert limits.violation(METRICS | {"params": 4e6}) is None
    with pytest.raises(ValueError, match=r"limits\.macs must be above 0, or null for no limit, got -1"):
        Limits({"macs": -1})


def test_any_cost_can_be_limited_and_is_shown_with_its_digits() -> None:
    limits = Limits({"energy_j": 0.25})
    assert limits.violation({"energy_j": 0.25}) is None
    assert limits.violation({"energy_j": 1.0 / 3}) == "energy_j 0.3333, limit 0.25"


def test_any_metric_can_have_a_target() -> None:
    reward = TargetReward("miou", energy_j=Target(3))
    assert reward.metrics == ("miou", "energy_j")
    assert reward({"miou": 0.5, "energy_j": 6.0}) == 0.25


@pytest.mark.parametrize("form", ["hard", "soft"])
@pytest.mark.parametrize("cost", [0.0, -1.0, math.nan, 1e-300])
def test_no_cost_ends_in_an_exception(form: Literal["hard", "soft"], cost: float) -> None:
    factor = Target(2.0, weight=10.0, form=form).factor(cost)
    # The loop makes what is not finite a failed trial; below a hard target a cost does not matter.
    assert factor == 1.0 if form == "hard" and cost <= 2 else not math.isfinite(factor)


def test_a_metric_of_any_name_can_have_a_target() -> None:
    reward = TargetReward("ap", **{"self": Target(1.0)})
    assert reward({"ap": 0.5, "self": 2.0}) == 0.25


def test_several_metrics_add_up_each_with_its_weight() -> None:
    reward = WeighedReward({"ap": 0.5, "mask_ap": 2.0, "macs": None})
    assert reward.metrics == ("ap", "mask_ap")
    assert reward(METRICS) == pytest.approx(0.5 * 0.4 + 2 * 0.3)
    assert math.isnan(reward(METRICS | {"mask_ap": math.nan}))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, r"weights needs a metric with its weight, as weights\.ap=0\.5"),
        ({"ap": None}, "weights needs a metric"),
        ({"ap": 1.0, "macs": -1.0}, r"weights\.macs must be above 0 and at most 1e\+06, or null for none, got -1\.0"),
    ],
)
def test_impossible_weights_are_refused(weights: dict[str, float | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeighedReward(weights)
