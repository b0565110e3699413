"""The description in the file of a detector, from the plan of its training and what that knows of the weights."""

from proxy_tasks.coco.open_data import OpenData
from proxy_tasks.detection.detector_file import Category, DetectorHead, DetectorInfo
from proxy_tasks.full_training.head import Trained
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.torchvision_backbone import REGION_SAMPLES


def info_of(
    plan: TrainingPlan,
    head: DetectorHead,
    data: OpenData,
    trained: Trained,
    *,
    reference: Reference,
    counts_last_pixel: bool = False,
    candidates_per_class: bool = False,
    region_samples: int = REGION_SAMPLES,
) -> DetectorInfo:
    """Return what the file is to say.

    Args:
        plan: of the training.
        head: what the detector finds.
        data: what it was trained on.
        trained: the weights.
        reference: released code whose paddings the network has.
        counts_last_pixel: see `DetectorInfo`.
        candidates_per_class: the same.
        region_samples: the same.
    """
    annotations = data.train.annotations
    pairs = zip(annotations.category_ids, annotations.category_names, strict=True)
    return DetectorInfo(
        name=plan.name,
        head=head,
        architecture=plan.architecture,
        scale=plan.scale,
        categories=tuple(Category(int(number), name) for number, name in pairs),
        weights="raw" if trained.averaged is None else "averaged",
        reference=reference,
        norm_epsilon=trained.norm_epsilon,
        counts_last_pixel=counts_last_pixel,
        candidates_per_class=candidates_per_class,
        region_samples=region_samples,
        recipe=trained.recipe,
        metrics=trained.metrics,
        run=plan.run.name,
        search=plan.search,
        trial=plan.trial,
        versions=plan.versions,
    )
