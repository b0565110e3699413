"""The options of the detection task that an evaluation follows, as one value."""

from dataclasses import dataclass

from proxy_tasks.coco.open_data import DataOptions
from proxy_tasks.device_options import Precision
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.training.recipe import Recipe
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
