"""A training as a person sees it: where it starts, lines on how it stands, and each measurement."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console

from nas.training.journal import TrainingJournal
from proxy_tasks.detection.data_summary import largest_error
from proxy_tasks.full_training.head_names import HEADS, HeadWords
from proxy_tasks.full_training.trainer import Standing

LINE_EVERY_S = 30.0
"""Time between two lines, and between two points of a curve."""
_FEW_OBJECTS = 500
"""Number below which AP may be more than 0.04 off."""


class TrainingView:
    """Shows a training on a console and in trackers, and puts it on record.

    Args:
        console: shows how it goes.
        problems: shows what goes wrong, quiet or not.
        journal: takes the measurements.
        config: the whole configuration, for the record.
        track: begins to show in trackers what is on record; returns what hands over what has come since.
        words: those for what is trained.
    """

    def __init__(
        self,
        console: Console,
        problems: Console,
        journal: TrainingJournal,
        config: Mapping[str, Any],
        track: Callable[[], Callable[[], None]],
        words: HeadWords = HEADS["retinanet"],
    ) -> None:
        self._console, self._problems, self._journal = console, problems, journal
        self._config, self._track, self._words = config, track, words
        self._update: Callable[[], None] = lambda: None
        self._last_line_s = time.monotonic()

    def remark(self, text: str) -> None:
        """Show what a person should know."""
        self._problems.print(text, soft_wrap=True)
        self._journal.append_later("remark", text=text)

    def started(self, step: int, num_steps: int, num_images: int, num_scored: int) -> None:
        """Show where the training starts, and how far its figures can be trusted."""
        self._journal.append("started", step=step, num_steps=num_steps, config=self._config)
        # Only now: a training that is refused does not appear in any tracker.
        self._update = self._track()

        if step == num_steps:
            self._console.print(f"all {num_steps} steps are done")
            return
        resumed = f", resumed at step {step}" if step else ""
        self._console.print(f"training on {num_images} images, {num_steps} steps{resumed}")
        if num_scored < _FEW_OBJECTS:
            metric, scored = self._words.metric_text, self._words.scored
            self._console.print(
                f"{metric} is measured on {num_scored} {scored}: it may be {largest_error(num_scored):.2f} off (95 %), "
                "and smaller differences between trainings say nothing",
                soft_wrap=True,
            )

    def step(self, standing: Callable[[], Standing]) -> None:
        """Show a line now and then, and put it on record."""
        if time.monotonic() - self._last_line_s <= LINE_EVERY_S:
            return

        now = standing()
        self._console.print(_line(now, self._words), soft_wrap=True)
        self._journal.append_later(
            "progress", step=now.step, epoch=now.epoch, loss=now.loss, images_per_s=now.images_per_s
        )
        self._update()
        self._last_line_s = time.monotonic()

    def evaluated(self, standing: Standing, metrics: dict[str, float], weights: str, *, is_best: bool) -> None:
        """Show a measurement, and put it on record."""
        self._journal.append_later(
            "evaluated",
            step=standing.step,
            epoch=standing.epoch,
            weights=weights,
            is_best=is_best,
            metric=self._words.metric,
            metrics=metrics,
        )
        self._update()

        best = ", the best so far" if is_best else ""
        loss = f"loss {metrics['loss']:.4f}"
        figure = f"{self._words.metric_text} {metrics[self._words.metric]:.4f}"
        self._console.print(
            f"epoch {standing.epoch:.1f}: {figure} of the {weights} weights{best}; {loss}", soft_wrap=True
        )
        self._last_line_s = time.monotonic()


def _line(standing: Standing, words: HeadWords) -> str:
    best = "" if standing.best is None else f", {words.metric_text} {standing.best:.4f}"
    left = timedelta(seconds=round(standing.seconds_left))
    return (
        f"epoch {standing.epoch:.1f}, step {standing.step} of {standing.num_steps}: loss {standing.loss:.4f}{best}, "
        f"{standing.images_per_s:.0f} images/s, {left} left"
    )
