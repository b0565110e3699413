"""python -m nas.detect: find objects in pictures by a trained detector."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foundation import InputError, check_range, make_folder, printable, short_path, write_whole
from nas.detecting.pictures import PictureFile, find_pictures
from nas.drawing.found_boxes import FoundBox, draw_found, picture_bytes
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from proxy_tasks.coco.decode import UnusableImageError, decode_image
from proxy_tasks.device_options import Precision
from proxy_tasks.full_training.head_names import trained_path

if TYPE_CHECKING:
    from PIL import Image

    from proxy_tasks.detection.detector import Detector, Found
    from proxy_tasks.segmentation.mask_detector import FoundMasks, MaskDetector

HELP = """\
python -m nas.detect weights=FILE_OR_RUN images=FILE_OR_FOLDER out=FOLDER [name=value ...]

Find objects in pictures by a trained detector. out gets each picture with boxes, classes and scores drawn into it, and
two files: results.json, the boxes as COCO has results, and images.json, which picture each number stands for. One with
masks draws these too, and its results have them as run lengths. A picture that cannot be read costs one line; the
others are looked at, and the exit status is 2.

  python -m nas.detect weights=runs/full images=photos out=found
  python -m nas.detect weights=runs/full images=[a.jpg,b.png,photos] out=found min_score=0.5
"""

RESULTS_FILE, IMAGES_FILE = "results.json", "images.json"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/detect.yaml`."""

    weights: Path
    images: Path | tuple[Path, ...]
    out: Path
    min_score: float
    overwrite: bool
    use: Literal["averaged", "raw"] | None
    batch_size: int
    device: str
    precision: Precision
    verbosity: Verbosity

    def __post_init__(self) -> None:
        check_range("batch_size", self.batch_size, 1, 65_536, "a batch is held in memory")
        check_range("min_score", self.min_score, 0, 0.999, "no score is above 1")
        if not self.places:
            raise ValueError("images needs a file or a folder, got none")

    @property
    def places(self) -> tuple[Path, ...]:
        """The files and folders that hold the pictures."""
        return self.images if isinstance(self.images, tuple) else (self.images,)


def main(config: dict[str, Any]) -> None:
    """Find objects in the pictures that the configuration names."""
    options = build(Options, config, "")
    weights = trained_path(options.weights)
    pictures = find_pictures(options.places)
    _check_out(options, pictures)

    # Imported here so that help and mistakes do not wait for torch.
    from proxy_tasks.classification.classifier_file import CLASSIFIER
    from proxy_tasks.networks.trained_file import kind_of
    from proxy_tasks.segmentation.mask_detector import load_any_detector

    if kind_of(weights) == CLASSIFIER.kind:
        raise InputError(
            f"{short_path(weights)} is a classifier, which finds no objects: nas.evaluate scores it, nas.export writes "
            "it for other programs, load_classifier takes it in Python"
        )
    detector = load_any_detector(weights, device=options.device, weights=options.use, precision=options.precision)
    try:
        make_folder(options.out)
    except OSError as error:
        raise InputError(f"cannot make {short_path(options.out)}: {error.strerror}") from None

    images: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    is_quiet = options.verbosity == "quiet"
    with TaskView(make_console(quiet=is_quiet, stderr=True)) as view:
        for start in range(0, len(pictures), options.batch_size):
            several = pictures[start : start + options.batch_size]
            _look_at(several, detector, options, images, results)
            view.report("looking at pictures", start + len(several), len(pictures))

    _write_files(detector, options, images, results)
    if not is_quiet:
        print(f"{len(results)} objects in {len(images)} pictures: {short_path(options.out)}")
    if len(images) < len(pictures):
        raise InputError(f"{len(pictures) - len(images)} of {len(pictures)} pictures could not be read, as said above")


def _check_out(options: Options, pictures: Sequence[PictureFile]) -> None:
    """Check that nothing is overwritten but what may be, and never a picture that is looked at.

    Raises:
        InputError: something would be.
    """
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"out={short_path(options.out)} is a file, needed is a folder")

    sources = {picture.path.resolve() for picture in pictures}
    targets = [options.out / name for name in (RESULTS_FILE, IMAGES_FILE, *(one.result_name for one in pictures))]
    for target in targets:
        if target.resolve() in sources:
            raise InputError(f"out={short_path(options.out)} holds the pictures themselves: name another folder")

    there = [target for target in targets if target.is_symlink() or target.exists()]
    if there and not options.overwrite:
        raise InputError(
            f"{short_path(there[0])} exists: name another folder, or replace what is there with overwrite=true"
        )


def _look_at(
    pictures: Sequence[PictureFile],
    detector: "Detector | MaskDetector",
    options: Options,
    images: list[dict[str, Any]],
    results: list[dict[str, Any]],
) -> None:
    """Find objects in some pictures, draw them, and add them to the images and results of COCO's form."""
    decoded = [(picture, _read(picture)) for picture in pictures]
    read = [(picture, image) for picture, image in decoded if image is not None]
    found: Sequence[Found | FoundMasks] = detector.detect(
        [image for _, image in read], batch_size=len(pictures), min_score=options.min_score
    )

    for (picture, image), one in zip(read, found, strict=True):
        content = picture_bytes(draw_found(image, _boxes(one, detector)), Path(picture.result_name).suffix)
        write_whole(options.out / picture.result_name, content, inside=options.out)
        images.append(
            {
                "id": picture.image_id,
                "file_name": str(picture.path),
                "width": image.width,
                "height": image.height,
                "picture": picture.result_name,
            }
        )
        results += _coco_results(picture.image_id, one, detector)


def _read(picture: PictureFile) -> "Image.Image | None":
    """Return a picture as viewers show it, or None after a line that says why it cannot be read."""
    try:
        return decode_image(picture.path, None).image
    except UnusableImageError as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot read {picture.path}: {error.strerror}"
    print(f"error: {printable(reason)}", file=sys.stderr)
    return None


def _boxes(found: "Found | FoundMasks", detector: "Detector | MaskDetector") -> list[FoundBox]:
    names, masks = detector.class_names, getattr(found, "masks", None)
    rows = enumerate(zip(found.boxes_xyxy.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True))
    return [
        FoundBox(tuple(box), label, names[label], score, None if masks is None else masks.decoded(number))
        for number, (box, label, score) in rows
    ]


def _coco_results(
    image_id: int, found: "Found | FoundMasks", detector: "Detector | MaskDetector"
) -> list[dict[str, Any]]:
    """Return what was found in a picture as COCO has results; boxes to a hundredth of a pixel."""
    from proxy_tasks.coco.run_lengths import coco_rle

    masks = getattr(found, "masks", None)
    rows = enumerate(zip(found.boxes_xyxy.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True))
    results = []
    for number, ((left, top, right, bottom), label, score) in rows:
        box_xywh = [round(value, 2) for value in (left, top, right - left, bottom - top)]
        category = detector.info.categories[label]
        one = {"image_id": image_id, "category_id": category.id, "bbox": box_xywh, "score": round(score, 5)}
        results.append(one if masks is None else {**one, "segmentation": coco_rle(masks.rle(number))})
    return results


def _write_files(
    detector: "Detector | MaskDetector", options: Options, images: list[dict[str, Any]], results: list[dict[str, Any]]
) -> None:
    """Write the results as COCO has them, and the images and categories that their numbers stand for."""
    info = detector.info
    unused = set(info.unused_classes)
    categories = [{"id": one.id, "name": one.name} for k, one in enumerate(info.categories) if k not in unused]
    about = {
        "weights": str(options.weights),
        "name": info.name,
        "used": options.use or info.weights,
        "min_score": options.min_score,
    }
    document = {"info": about, "images": images, "categories": categories}
    for name, content in ((RESULTS_FILE, results), (IMAGES_FILE, document)):
        write_whole(options.out / name, json.dumps(content, indent=1).encode() + b"\n", inside=options.out)


if __name__ == "__main__":
    run_command("detect", HELP, main)
