"""Scoring a trained detector, with masks or without, on the validation set of COCO-format data."""

from pathlib import Path

import numpy as np

from foundation import InputError
from proxy_tasks.base import BadDataError, Report
from proxy_tasks.coco.cache import masks_of, with_masks
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import Native
from proxy_tasks.detection.detector import Detector
from proxy_tasks.detection.detector_scoring import DetectorScores, open_scored, score_detector, scores_of
from proxy_tasks.segmentation.mask_detector import MaskDetector
from proxy_tasks.segmentation.mask_inference import detect_all_masks
from proxy_tasks.segmentation.mask_scoring import score_masks


def score_any_detector(
    detector: Detector | MaskDetector,
    folder: CocoFolder,
    *,
    cache_dir: Path,
    cache_format: Native,
    report: Report,
) -> DetectorScores:
    """Score a detector by boxes, and one with masks by masks too; see `score_detector`.

    Raises:
        InputError: as there, or the data has no masks.
    """
    if isinstance(detector, Detector):
        return score_detector(detector, folder, cache_dir=cache_dir, cache_format=cache_format, report=report)

    scored = open_scored(detector.info, folder, cache_dir=cache_dir, cache_format=cache_format, report=report)
    masks = masks_of(with_masks(scored.split, scored.key, report))
    rows = np.arange(scored.split.annotations.num_images)
    try:
        found = detect_all_masks(
            detector.network,
            scored.split,
            rows,
            bf16=detector.bf16,
            labels_of_classes=scored.labels_of_classes,
            report=report,
        )
    except BadDataError as error:
        raise InputError(str(error)) from None
    return scores_of(scored, detector.info, score_masks(scored.split.annotations, masks, rows, found, per_class=True))
