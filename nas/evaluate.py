"""python -m nas.evaluate: score a trained detector by COCO's twelve figures, or a classifier by its top-1 and top-5."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from foundation import short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.terminal.class_scores import plain_class_scores, show_class_scores
from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from proxy_tasks.coco.native_images import Native
from proxy_tasks.coco.open_data import Data
from proxy_tasks.device_options import Precision
from proxy_tasks.full_training.head_names import trained_path

if TYPE_CHECKING:
    from proxy_tasks.detection.detector_file import DetectorInfo
    from proxy_tasks.detection.detector_scoring import DetectorScores

HELP = """\
python -m nas.evaluate weights=FILE_OR_RUN data.root=FOLDER [name=value ...]

Score a trained detector on the validation set of COCO-format data, by COCO's twelve figures; one with masks by twelve
more. weights= takes the file of a trained detector, or the folder of a training that holds it. The images are cached
once and kept for the next time.
A classifier is scored on the validation images of data=image_folder or data=inaturalist, by top-1 and top-5.

  python -m nas.evaluate weights=runs/full data.root=/data/coco
  python -m nas.evaluate weights=runs/full data.root=/data/coco per_class=true
  python -m nas.evaluate weights=runs/full data.root=/data/coco format=json > figures.json
  python -m nas.evaluate weights=runs/classes data=image_folder data.root=/data/imagenet per_class=true
"""

_ABSENT = -1
"""COCO's figure where there is no object to count."""
_SIZES = ("all", "small", "medium", "large")
_NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/evaluate.yaml`."""

    weights: Path
    data: Data
    use: Literal["averaged", "raw"] | None
    per_class: bool
    format: Literal["table", "json"]
    cache_dir: Path
    longest_side_px: int
    device: str
    precision: Precision
    verbosity: Verbosity

    def __post_init__(self) -> None:
        Native(self.longest_side_px)


def main(config: dict[str, Any]) -> None:
    """Score what the configuration names."""
    options = build(Options, config, "")

    # Imported here so that help and mistakes do not wait for torch.
    from proxy_tasks.classification.classifier_file import CLASSIFIER
    from proxy_tasks.networks.trained_file import kind_of
    from proxy_tasks.runtime import pick_device

    pick_device(options.device)
    file = trained_path(options.weights)
    if kind_of(file) == CLASSIFIER.kind:
        _evaluate_classifier(options, file)
    else:
        _evaluate_detector(options, file)


def _evaluate_classifier(options: Options, file: Path) -> None:
    """Score a classifier, and show its figures."""
    from proxy_tasks.classification.classifier_scoring import score_classifier
    from proxy_tasks.classification.image_classifier import load_classifier

    classifier = load_classifier(file, device=options.device, weights=options.use, precision=options.precision)
    with TaskView(make_console(quiet=options.verbosity == "quiet", stderr=True)) as view:
        scores = score_classifier(
            classifier,
            options.data.folder(view.report),
            cache_dir=options.cache_dir,
            cache_format=Native(options.longest_side_px),
            report=view.report,
        )

    info = classifier.info
    if options.format == "json":
        plain = plain_class_scores(scores, per_class=options.per_class)
        plain = {"weights": str(options.weights), "name": info.name, "used": options.use or info.weights, **plain}
        json.dump(plain, sys.stdout, indent=1)
        print()
        return
    used = f"{info.name}, {options.use or info.weights} weights of {short_path(options.weights)}"
    show_class_scores(make_console(), scores, used, info.scale.image_size_px, per_class=options.per_class)


def _evaluate_detector(options: Options, file: Path) -> None:
    """Score a detector, and show its figures."""
    from proxy_tasks.segmentation.mask_detector import load_any_detector
    from proxy_tasks.segmentation.mask_detector_scoring import score_any_detector

    detector = load_any_detector(file, device=options.device, weights=options.use, precision=options.precision)
    with TaskView(make_console(quiet=options.verbosity == "quiet", stderr=True)) as view:
        scores = score_any_detector(
            detector,
            options.data.folder(view.report),
            cache_dir=options.cache_dir,
            cache_format=Native(options.longest_side_px),
            report=view.report,
        )

    if options.format == "json":
        json.dump(_plain(scores, detector.info, options), sys.stdout, indent=1)
        print()
    else:
        _show(make_console(), scores, detector.info, options)


def _plain(scores: "DetectorScores", info: "DetectorInfo", options: Options) -> dict[str, Any]:
    """Return the scores as JSON has them; a class by its category's id, as names may repeat."""
    plain: dict[str, Any] = {
        "weights": str(options.weights),
        "name": info.name,
        "used": options.use or info.weights,
        "num_images": scores.num_images,
        "metrics": scores.metrics,
    }
    if options.per_class:
        plain["classes"] = [
            {
                "id": one.category.id,
                "name": one.category.name,
                "num_objects": one.num_objects,
                "ap": one.ap,
                **({} if one.mask_ap is None else {"mask_ap": one.mask_ap}),
            }
            for one in scores.classes
        ]
    return plain


def _show(console: Console, scores: "DetectorScores", info: "DetectorInfo", options: Options) -> None:
    of = f" of {scores.num_listed}" if scores.num_listed > scores.num_images else ""
    used = options.use or info.weights
    console.print(
        f"{info.name}, {used} weights of {short_path(options.weights)}, on {scores.num_images}{of} images of "
        f"{info.scale.image_size_px} px"
    )
    if scores.num_unscored:
        console.print(
            f"{scores.num_unscored} of its {len(info.categories)} classes are not in the data: not looked for"
        )

    if "mask_ap" in scores.metrics:
        console.print(_figures(scores, "", "boxes"))
        console.print(_figures(scores, "mask_", "masks"))
    else:
        console.print(_figures(scores, "", ""))
    if options.per_class:
        console.print(_classes(scores))


def _figures(scores: "DetectorScores", prefix: str, title: str) -> Table:
    """Return COCO's twelve figures as two rows: precision by overlap and size, recall by number and size.

    Args:
        scores: all figures.
        prefix: beginning of the names of these twelve.
        title: what they are of, empty where there are no others.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in (title, *_SIZES, "IoU 0.5", "IoU 0.75", "1 box", "10 boxes"):
        table.add_column(name, justify="left" if name == title else "right", no_wrap=True)

    figures = {name: _fraction(scores.metrics[prefix + name]) for name in _NAMES}
    ap = [figures[name] for name in ("ap", "ap_small", "ap_medium", "ap_large", "ap50", "ap75")]
    ar = [figures[name] for name in ("ar100", "ar_small", "ar_medium", "ar_large")]
    most = [figures[name] for name in ("ar1", "ar10")]
    table.add_row("AP", *ap, "", "")
    table.add_row("AR", *ar, "", "", *most)
    return table


def _classes(scores: "DetectorScores") -> Table:
    has_masks = "mask_ap" in scores.metrics
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("class", "id", "objects", "AP", *(["mask AP"] if has_masks else [])):
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=True)
    for one in sorted(scores.classes, key=lambda one: -one.ap):
        of_masks = [] if one.mask_ap is None else [_fraction(one.mask_ap)]
        table.add_row(one.category.name, str(one.category.id), str(one.num_objects), _fraction(one.ap), *of_masks)
    return table


def _fraction(value: float) -> str:
    return "-" if value == _ABSENT else f"{value:.4f}"


if __name__ == "__main__":
    run_command("evaluate", HELP, main)
