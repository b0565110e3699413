"""Where else the results of a run are shown: TensorBoard, MLflow, Weights & Biases."""

from nas.tracking.base import TrackedRun, Tracker, TrackerLog
from nas.tracking.feed import Tracking
from nas.tracking.mlflow import MLflow
from nas.tracking.results import Result
from nas.tracking.tensorboard import TensorBoard
from nas.tracking.wandb import WeightsAndBiases

__all__ = [
    "MLflow",
    "Result",
    "TensorBoard",
    "TrackedRun",
    "Tracker",
    "TrackerLog",
    "Tracking",
    "WeightsAndBiases",
]
