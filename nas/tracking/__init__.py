"""Trackers show the results of a search or a training elsewhere: in TensorBoard, MLflow, or Weights & Biases."""

from foundation import lazy_class
from nas.tracking.base import TrackedRun, Tracker, TrackerLog
from nas.tracking.feed import Tracking
from nas.tracking.results import Result

__all__ = ["Result", "TrackedRun", "Tracker", "TrackerLog", "Tracking"]

_MODULES = {"MLflow": "mlflow", "TensorBoard": "tensorboard", "WeightsAndBiases": "wandb"}


def __getattr__(name: str) -> type[Tracker]:
    """Import a tracker when YAML names it: a search loads only those that it uses."""
    return lazy_class(__name__, _MODULES, name)
