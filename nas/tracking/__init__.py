"""Trackers show the results of a run elsewhere: in TensorBoard, MLflow, or Weights & Biases."""

from importlib import import_module

from nas.tracking.base import TrackedRun, Tracker, TrackerLog
from nas.tracking.feed import Tracking
from nas.tracking.results import Result

__all__ = ["Result", "TrackedRun", "Tracker", "TrackerLog", "Tracking"]

_MODULES = {"MLflow": "mlflow", "TensorBoard": "tensorboard", "WeightsAndBiases": "wandb"}


def __getattr__(name: str) -> type[Tracker]:
    """Import a tracker when YAML names it, as `nas.tracking.MLflow`: a search loads only those that it uses."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    tracker: type[Tracker] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return tracker
