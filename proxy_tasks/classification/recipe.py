"""The numbers that only the training of a classifier has."""

from dataclasses import dataclass

from foundation import check_range

MAX_MAGNITUDE = 30


@dataclass(frozen=True, slots=True)
class ClassRecipe:
    """The crops and changes of a classifier's images, and the smoothing of its targets.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes.
        crop_area: smallest and largest area of a random crop, as shares of the image's.
        crop_ratio: smallest and largest width over height of it.
        rand_augment: magnitude of RandAugment's operations, 0 to 30; None for no RandAugment.
        rand_augment_ops: number of its operations on each image.

    Raises:
        ValueError: a value out of range.

    Source: random crops of Inception (arXiv 1409.4842), section 6; RandAugment (arXiv 1909.13719).
    """

    label_smoothing: float = 0.0
    crop_area: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    rand_augment: int | None = None
    rand_augment_ops: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be from 0 to below 1, got {self.label_smoothing}")
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise ValueError(
                f"crop_area must be two rising shares of the image above 0 and up to 1, got {list(self.crop_area)}"
            )
        if not 0.1 <= self.crop_ratio[0] <= self.crop_ratio[1] <= 10:
            raise ValueError(f"crop_ratio must be two rising ratios from 0.1 to 10, got {list(self.crop_ratio)}")
        check_range("rand_augment", self.rand_augment or 0, 0, MAX_MAGNITUDE, "torchvision has no larger magnitude")
        check_range("rand_augment_ops", self.rand_augment_ops, 1, 10, "an image would be past recognition")
