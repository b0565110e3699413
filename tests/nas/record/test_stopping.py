"""Limits of losses, by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest

from controllers.base import Proposal
from nas.record.stopping import LossHistory, Stopping, loss_at
from nas.record.trial import Trial
from proxy_tasks import LossLimit
from search_space import published_spec

SPEC = published_spec("spinenet-49")
TRIAL = Trial(0, Proposal((0,)), SPEC, SPEC.key, status="completed", reward=0.5)


def history(*curves: tuple[float, ...], **options: Any) -> LossHistory:  # noqa: ANN401  # numbers of several types
    made = LossHistory(Stopping(**{"shares": (0.5,), "min_results": 1, **options}))
    for curve in curves:
        made.note(replace(TRIAL, loss_curve=curve))
    return made


def test_a_limit_is_the_loss_that_the_worst_share_of_the_trainings_so_far_was_above() -> None:
    ten = [(float(loss), 0.0) for loss in (3, 1, 4, 10, 5, 9, 2, 6, 8, 7)]
    assert history(*ten).limits() == (LossLimit(0.5, 5.0),)
    assert history(*ten, worst=0.25).limits() == (LossLimit(0.5, 8.0),)
    # One training in ten cannot be less than one: nothing is above the highest.
    assert history(*ten, worst=0.05).limits() == (LossLimit(0.5, 10.0),)
    assert history(*ten, margin=0.1).limits() == (LossLimit(0.5, 5.5),)
    assert history((-2.0, 0.0), (-4.0, 0.0), margin=0.5).limits() == (LossLimit(0.5, -2.0),)


def test_there_is_no_limit_before_enough_is_known() -> None:
    four = [(float(loss), 0.0) for loss in range(4)]
    assert history(*four[:3], min_results=4).limits() == ()
    assert history(*four, min_results=4).limits() != ()
    assert history(*four, shares=()).limits() == ()


def test_what_was_stopped_before_counts_as_worse_so_that_limits_do_not_fall_by_themselves() -> None:
    made = LossHistory(Stopping((0.25, 0.5), worst=0.5, min_results=4))
    for loss in (1.0, 2.0):
        made.note(replace(TRIAL, loss_curve=(loss, loss + 10, 0.0, 0.0)))
    for loss in (3.0, 4.0):
        stopped = replace(TRIAL, status="stopped", reward=None, loss_curve=(loss,), stopped_at=0.25)
        made.note(stopped)
    # Half of the four were above 2 at a quarter. At a half these two are gone, and nobody else need go.
    assert made.limits() == (LossLimit(0.25, 2.0), LossLimit(0.5, 12.0))

    # With another two stopped more than the worst half has gone before: no limit is finite any more.
    for loss in (5.0, 6.0):
        made.note(replace(stopped, loss_curve=(loss,)))
    assert made.limits() == (LossLimit(0.25, 3.0),)


def test_only_trainings_of_the_first_rung_count_each_once() -> None:
    made = history((1.0, 0.0))
    before = made.limits()
    made.note(replace(TRIAL, loss_curve=()))
    made.note(replace(TRIAL, loss_curve=(9.0, 0.0), proposal=Proposal((0,), rung=1)))
    made.note(replace(TRIAL, status="failed", reward=None, loss_curve=(9.0, 0.0)))
    made.note(replace(TRIAL, status="reused", reused_from=0))
    made.note(replace(TRIAL, status="rejected", reward=None))
    assert made.limits() == before == (LossLimit(0.5, 1.0),)


def test_the_loss_at_a_share_is_that_of_the_part_which_ends_there() -> None:
    curve = tuple(float(part) for part in range(1, 21))
    assert [loss_at(curve, share) for share in (0.001, 0.05, 0.051, 0.25, 0.94)] == [1.0, 1.0, 2.0, 5.0, 19.0]
    # After 0.95 the training has come to its last part.
    assert loss_at(curve, 0.96) is None
    assert loss_at((), 0.5) is None
    assert loss_at((1.0,), 0.5) is None
    assert loss_at(curve[:5], 0.25, stopped_at=0.25) == 5.0
    assert loss_at(curve[:5], 0.3, stopped_at=0.25) == math.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": (0.5, 1.0)}, "above 0 and below 1, got 1.0"),
        ({"shares": (0.5, 0.5)}, "shares must differ"),
        ({"worst": 1.0}, "worst must be above 0 and below 1"),
        ({"worst": float("nan")}, "worst must be above 0 and below 1"),
        ({"min_results": 0}, "min_results must be"),
        ({"margin": -0.1}, "margin must be"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stopping(**options)
