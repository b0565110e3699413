"""The options of a task that the evaluation of a trial follows, as one value."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy_tasks.coco.open_data import DataOptions
from proxy_tasks.device_options import Precision
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.training.recipe import Recipe
from search_space import ModelScale

if TYPE_CHECKING:
    from proxy_tasks.networks.named_networks import Head


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The kind and size of networks, how they are trained, and where; see `TrainedProxy` for each.

    Attributes:
        data: the image size here is that of the cache.
        scale: the networks', which may read images that are smaller.
        head: see `build_network`.
        pretrained: file of a trained network that each starts from; None for random weights.
    """

    data: DataOptions
    scale: ModelScale
    recipe: Recipe
    device: str
    precision: Precision
    latency: LatencyOptions
    head: "Head"
    pretrained: Path | None = None
