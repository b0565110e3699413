"""The result of a job as the record holds it: an evaluation with its reward, or a failure."""

import math
from collections.abc import Mapping

from nas.engine.job import Outcome
from nas.engine.reward import Reward, objectives_of
from nas.record.events import Told
from nas.record.trial import Failure


def told_of(outcome: Outcome, reward: Reward) -> Told:
    """Return the end of a trial by the outcome of its job.

    One whose training was stopped has no reward. A figure that the reward looks at and that is not finite makes it a
    failed one; metrics that are finite are kept.
    """
    evaluation = outcome.result
    if isinstance(evaluation, Failure):
        return Told(trial=outcome.trial, status="failed", failure=evaluation, numerics=outcome.numerics)

    is_curve_finite = all(math.isfinite(loss) for loss in evaluation.loss_curve)
    curve = evaluation.loss_curve if is_curve_finite else ()
    if evaluation.stopped_at is not None:
        return Told(
            trial=outcome.trial,
            status="stopped",
            metrics=finite_figures(evaluation.metrics),
            seconds=dict(evaluation.seconds),
            loss_curve=curve,
            remarks=evaluation.remarks or None,
            numerics=outcome.numerics,
            stopped_at=evaluation.stopped_at,
        )

    value = reward(evaluation.metrics)
    objectives = objectives_of(reward, evaluation.metrics)

    # A reward may be finite where a cost is not: some ignore costs, and an infinite one makes a factor of 0.
    failure = None
    if not math.isfinite(value):
        failure = Failure("nan", f"the reward is {value}")
    elif not all(math.isfinite(objective) for objective in objectives):
        failure = Failure("nan", "a cost is not finite")

    return Told(
        trial=outcome.trial,
        status="completed" if failure is None else "failed",
        reward=value if failure is None else None,
        metrics=finite_figures(evaluation.metrics),
        seconds=dict(evaluation.seconds),
        loss_curve=curve,
        failure=failure,
        remarks=evaluation.remarks or None,
        numerics=outcome.numerics,
    )


def finite_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that a journal can hold: JSON has no word for a number that is not finite."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}
