"""The detection proxy task: its options beside those of all tasks that train networks, its data and its figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from proxy_tasks.coco.image_store import Format
from proxy_tasks.coco.open_data import Classes, DataOptions, OpenData
from proxy_tasks.detection.data_summary import data_summary
from proxy_tasks.detection.scoring import METRIC_NAMES
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.short_training.trained_proxy import TrainedProxy
from proxy_tasks.training_sample import TrainingSample
from search_space import ModelScale

if TYPE_CHECKING:
    from proxy_tasks.detection.trial_head import BoxTrialHead
    from proxy_tasks.networks.named_networks import Head


@dataclass(frozen=True, slots=True)
class DetectionProxy(TrainedProxy):
    """RetinaNet on COCO-format data at a reduced scale.

    Attributes:
        classes: `dense` numbers the data's categories without gaps; `ids` takes their own ids as classes, as the
            reference does: 91 for COCO, those without a category and 0, the background, being dropped when scoring.
        cache_format: `raw`, `3 * image_size_px**2` bytes an image, or `jpeg`, about a tenth, decoded when read.
        per_class_ap: whether the metrics hold AP of each class too, as `ap/` and the category's name.

    Source: SpineNet (arXiv 1912.05027), section 5.1.
    """

    classes: Classes = "dense"
    cache_format: Format = "raw"
    per_class_ap: bool = False

    added_since: ClassVar[Mapping[str, object]] = {
        **TrainedProxy.added_since,
        **{f"latency.{name}": value for name, value in asdict(LatencyOptions()).items()},
        "cache_format": "raw",
        "per_class_ap": False,
        "data.num_classes": 3,
        "scale.stem_width": 64,
        "recipe.adamw_beta2": 0.999,
    }

    @property
    def figures(self) -> tuple[str, ...]:
        """COCO's twelve."""
        return METRIC_NAMES

    @property
    def head(self) -> "Head":
        """RetinaNet's."""
        return "retinanet"

    @property
    def data_options(self) -> DataOptions:
        """The options that decide which data the task uses."""
        return self._data_options(self.cache_format, self.classes)

    def trial_head(self, scale: ModelScale) -> "BoxTrialHead":
        """Return what trains and scores boxes."""
        from proxy_tasks.detection.trial_head import BoxTrialHead

        return BoxTrialHead(scale, per_class=self.per_class_ap)

    def summary(self, data: OpenData) -> tuple[str, ...]:
        """Say how large objects are beside the anchors, and what AP on so many of them can tell."""
        return data_summary(data, self.scale)

    def training_samples(self, num_images: int, *, seed: int) -> tuple[TrainingSample, ...]:
        """Return the first images of a training; see `SampleTask.training_samples`."""
        # Imported here: a command that only prepares data does not wait for torch.
        from proxy_tasks.detection.training_samples import training_samples

        return training_samples(self.data_options, self.recipe, num_images, seed=seed)
