"""python -m nas.import_weights: turn released weights of a SpineNet into a file that other commands take."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import InputError, check_range, short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.invocation import own_command

if TYPE_CHECKING:
    from proxy_tasks.classification.classifier_file import ClassifierInfo
    from proxy_tasks.detection.detector_file import DetectorInfo
    from proxy_tasks.networks.released.zoo import ReleasedHead

HELP = """\
python -m nas.import_weights checkpoint=FILE_OR_FOLDER network=NAME out=FILE [name=value ...]

Turn a checkpoint of a RetinaNet of tensorflow/tpu or tensorflow/models into the file that a training leaves, which
nas.detect, nas.evaluate, nas.export and nas.train take; or one of a Mask R-CNN of tensorflow/tpu, whose file all but
nas.export take; or one of a classifier, whose file all but nas.detect take.
TensorFlow is not needed. Each variable's checksum is verified, and all of them must be those of the network.
docs/released.md lists the networks.

  python -m nas.import_weights checkpoint=spinenet49s network=spinenet-49s out=spinenet-49s.pt
  python -m nas.import_weights checkpoint=best/model.ckpt network=spinenet-143-best out=spinenet-143-best.pt
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/import_weights.yaml`."""

    checkpoint: Path
    network: str
    out: Path
    norm_epsilon: float | None
    averages: bool
    classes: str | tuple[str, ...] | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.norm_epsilon is not None:
            check_range("norm_epsilon", self.norm_epsilon, 1e-12, 1, "variances are near 1")


def main(config: dict[str, Any]) -> None:
    """Import what the configuration names, and say what it is."""
    options = build(Options, config, "")
    _check_out(options)

    # Imported here so that help does not wait for torch.
    from proxy_tasks.networks.released.zoo import released_network

    head = released_network(options.network).head
    write = _writer(head, averages=options.averages)
    classes, out = _classes(options), short_path(options.out)
    info = write(options.checkpoint, options.network, options.out, norm_epsilon=options.norm_epsilon, classes=classes)

    num_classes = len(info.class_names) - len(info.unused_classes)
    print(f"{out}: {info.name} with {num_classes} classes, for images of {info.scale.image_size_px} px")
    # The data's categories must be those of the detector, and only COCO's are known here.
    if head != "classifier" and "person" in info.class_names:
        print(f"to check it on COCO: {own_command('evaluate')} {shlex.join([f'weights={out}', 'data.root=FOLDER'])}")


def _writer(head: "ReleasedHead", *, averages: bool) -> "Callable[..., DetectorInfo | ClassifierInfo]":
    """Return what writes the file of a network with that head."""
    match head:
        case "retinanet":
            from proxy_tasks.detection.released import import_released as import_detector

            return partial(import_detector, averages=averages)
        case "mask_rcnn":
            from proxy_tasks.segmentation.released import import_released as import_mask_detector

            return import_mask_detector
        case "classifier":
            from proxy_tasks.classification.released import import_released as import_classifier

            return import_classifier


def _classes(options: Options) -> tuple[str, ...]:
    """Return the names of classes that were given, in the command or in a file; none where none were.

    Raises:
        InputError: the file cannot be read.
    """
    from proxy_tasks.networks.released.class_names import read_class_names

    if isinstance(options.classes, str):
        return read_class_names(Path(options.classes).expanduser())
    return options.classes or ()


def _check_out(options: Options) -> None:
    """Check that nothing is overwritten but what may be.

    Raises:
        InputError: something would be.
    """
    if options.out.name.endswith(".index") or re.search(r"\.data-\d{5}-of-\d{5}$", options.out.name):
        raise InputError(f"out={short_path(options.out)} has the name of a checkpoint's file; name it as a .pt")
    if options.out.is_dir():
        raise InputError(f"out={short_path(options.out)} is a folder, needed is a file, as {options.network}.pt in it")
    if (options.out.exists() or options.out.is_symlink()) and not options.overwrite:
        raise InputError(
            f"{short_path(options.out)} exists: name another file, or replace what is there with overwrite=true"
        )


if __name__ == "__main__":
    run_command("import_weights", HELP, main)
