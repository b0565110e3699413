"""The classification proxy task: its options beside those of all tasks that train networks, its data and figures."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.class_lists import PLACES
from proxy_tasks.classification.metric_names import METRIC_NAMES
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.coco.native_images import LONGEST_SIDE_PX, Native
from proxy_tasks.coco.open_data import DataOptions
from proxy_tasks.short_training.trained_proxy import TrainedProxy
from search_space import ModelScale

if TYPE_CHECKING:
    from proxy_tasks.classification.trial_head import ClassTrialHead
    from proxy_tasks.networks.named_networks import Head


@dataclass(frozen=True, slots=True)
class ClassificationProxy(TrainedProxy):
    """A linear classifier on images of one class each at a reduced scale.

    Attributes:
        classification: crops of the images, and targets; they take the place of the recipe's jitter.
        longest_side_px: longest side of cached images, which are JPEGs in their own sizes; larger ones are shrunk.

    Raises:
        ValueError: a value out of range.

    Source: SpineNet (arXiv 1912.05027), section 4.2.
    """

    classification: ClassRecipe = field(default_factory=ClassRecipe)
    longest_side_px: int = LONGEST_SIDE_PX

    places: ClassVar[tuple[str, ...]] = PLACES
    full_training: ClassVar[tuple[str, ...]] = ("head=classifier", "protocol=classes")

    @property
    def figures(self) -> tuple[str, ...]:
        """Top-1 and top-5."""
        return METRIC_NAMES

    @property
    def head(self) -> "Head":
        """The linear classifier."""
        return "classifier"

    @property
    def data_options(self) -> DataOptions:
        """The options that decide which data the task uses."""
        return self._data_options(Native(self.longest_side_px), check=labels_of)

    def trial_head(self, scale: ModelScale) -> "ClassTrialHead":
        """Return what trains and scores classes."""
        from proxy_tasks.classification.trial_head import ClassTrialHead

        return ClassTrialHead(self.classification)
