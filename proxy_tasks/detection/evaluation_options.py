"""The options of the detection task that an evaluation follows, as one value."""

from dataclasses import dataclass

from proxy_tasks.detection.open_data import DataOptions
from proxy_tasks.detection.recipe import Recipe
from proxy_tasks.device_options import Precision
from proxy_tasks.latency_options import LatencyOptions
from search_space import ModelScale


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The size of networks, how they are trained, and what is measured; see `DetectionProxy` for each."""

    data: DataOptions
    scale: ModelScale
    recipe: Recipe
    device: str
    precision: Precision
    latency: LatencyOptions
    per_class_ap: bool
