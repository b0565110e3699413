"""The segmentation proxy task: its options beside those of all tasks that train networks, its data and its figures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxy_tasks.coco.native_images import LONGEST_SIDE_PX, Native
from proxy_tasks.coco.open_data import Classes, DataOptions, OpenData
from proxy_tasks.detection.data_summary import scored_summary
from proxy_tasks.detection.scoring import METRIC_NAMES
from proxy_tasks.segmentation.mask_scoring import MASK_METRIC_NAMES
from proxy_tasks.short_training.trained_proxy import TrainedProxy
from search_space import ModelScale

if TYPE_CHECKING:
    from proxy_tasks.networks.named_networks import Head
    from proxy_tasks.segmentation.trial_head import MaskTrialHead


@dataclass(frozen=True, slots=True)
class SegmentationProxy(TrainedProxy):
    """Mask R-CNN on COCO-format data with masks at a reduced scale.

    Attributes:
        classes: see `DetectionProxy`.
        longest_side_px: longest side of cached images, which are JPEGs in their own sizes; larger ones are shrunk.
        per_class_ap: whether the metrics hold AP of each class too, as `ap/` and `mask_ap/` and the category's name.

    Raises:
        ValueError: a value out of range.

    Source: Mask R-CNN (arXiv 1703.06870), as torchvision has it.
    """

    classes: Classes = "dense"
    longest_side_px: int = LONGEST_SIDE_PX
    per_class_ap: bool = False

    full_training: ClassVar[tuple[str, ...]] = ("head=mask_rcnn", "protocol=mask_rcnn")

    @property
    def figures(self) -> tuple[str, ...]:
        """COCO's twelve of masks, and those of boxes."""
        return (*MASK_METRIC_NAMES, *METRIC_NAMES)

    @property
    def head(self) -> "Head":
        """Mask R-CNN's."""
        return "mask_rcnn"

    @property
    def data_options(self) -> DataOptions:
        """The options that decide which data the task uses."""
        return self._data_options(Native(self.longest_side_px), self.classes, with_masks=True)

    def trial_head(self, scale: ModelScale) -> "MaskTrialHead":
        """Return what trains and scores boxes with masks."""
        from proxy_tasks.segmentation.trial_head import MaskTrialHead

        return MaskTrialHead(per_class=self.per_class_ap)

    def summary(self, data: OpenData) -> tuple[str, ...]:
        """Say what AP on so many objects can tell."""
        return scored_summary(data)
