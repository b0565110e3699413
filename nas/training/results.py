"""The results of a training as trackers show them: figures by step, read from its journal as that grows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.tracking.results import Result
from nas.training.journal import MEASURED, metric_of, read_events


class TrainingResults:
    """A reader of the results of a training.

    Args:
        folder: of the training, whose journal is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_read = 0
        self._best: float | None = None

    def read(self) -> list[Result]:
        """Return the results that have come since the last time; at first, all there are.

        Raises:
            InputError: a line of the journal is damaged.
        """
        events = [event for event in read_events(self._folder) if event["event"] in MEASURED]
        results = []
        for event in events[self._num_read :]:
            self._num_read += 1
            results.append(Result(self._num_read, event["step"], event["time"], self._figures(event)))
        return results

    def _figures(self, event: Mapping[str, Any]) -> dict[str, float]:
        if event["event"] == "progress":
            return {name: event[name] for name in ("epoch", "loss", "images_per_s")}

        metrics: dict[str, float] = event["metrics"]
        name = metric_of(event)
        self._best = metrics[name] if self._best is None else max(self._best, metrics[name])
        return {"epoch": event["epoch"], **metrics, f"best_{name}": self._best}
