"""Released classifiers: weights out of tensorflow/tpu's checkpoints, as classifiers of ours and as their files."""

from collections.abc import Sequence
from pathlib import Path

from foundation import InputError
from proxy_tasks.classification.classifier_file import ClassifierInfo, save_classifier
from proxy_tasks.classification.image_classifier import ImageClassifier, build_classifier, ready_classifier
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.device_options import Precision
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.class_names import named_classes, num_classes_of
from proxy_tasks.networks.released.filling import fill_slots, unfilled
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.prefix import checkpoint_prefix
from proxy_tasks.networks.released.tpu_names import CLASSIFIER_BIAS, classifier_slots, is_of_training
from proxy_tasks.networks.released.zoo import released_network
from proxy_tasks.runtime import pick_device

_NORM_EPSILON = 1e-5
"""That of tensorflow/tpu's configuration of classifiers."""
_NUM_IMAGENET_CLASSES = 1001
"""ImageNet's 1,000, and the background's 0."""


def load_released(
    path: Path | str,
    network: str,
    *,
    norm_epsilon: float | None = None,
    classes: Sequence[str] = (),
    device: str = "auto",
    precision: Precision = "auto",
) -> ImageClassifier:
    """Return the classifier of a released checkpoint, in inference mode.

    Args:
        path: of the checkpoint: its prefix, one of its files, or the folder that holds it.
        network: the name of a classifier in `RELEASED`, as `classifier-spinenet-49`.
        norm_epsilon: of its normalisation; None for that of the code that it was trained with.
        classes: names of its classes but the background, class 1 first; none for their numbers.
        device: `cpu`, `cuda` or `auto`: the GPU where there is one.
        precision: number format of the convolutions; `auto` is bfloat16 where the processor computes it fast.

    Raises:
        InputError: an unknown network, no such device, or a checkpoint that is damaged or of another network.
        ValueError: the epsilon is not above 0 and at most 1.
    """
    pick_device(device)
    built, info = read_released(Path(path), network, norm_epsilon=norm_epsilon, classes=classes)
    return ready_classifier(built, info, device=device, precision=precision)


def import_released(
    path: Path, network: str, out: Path, *, norm_epsilon: float | None = None, classes: Sequence[str] = ()
) -> ClassifierInfo:
    """Write the classifier of a released checkpoint as a file, and return what that says of it.

    Raises:
        InputError: as `load_released`, or it cannot be written.
    """
    built, info = read_released(path, network, norm_epsilon=norm_epsilon, classes=classes)
    save_classifier(out, info, raw=built.state_dict())
    return info


def read_released(
    path: Path, network: str, *, norm_epsilon: float | None = None, classes: Sequence[str] = ()
) -> tuple[Classifier, ClassifierInfo]:
    """Return the network of a released checkpoint with its weights, in the processor's memory, and what it is.

    Raises:
        InputError: as `load_released`.
    """
    released = released_network(network, "classifier")
    checkpoint = Checkpoint(checkpoint_prefix(path))
    if checkpoint.has_text(GRAPH):
        raise InputError(
            f"{checkpoint.prefix} is of tensorflow/models, whose classifier reads the coarsest feature alone, and of "
            "which none with a SpineNet was released; needed is one of tensorflow/tpu"
        )

    num_classes = num_classes_of(checkpoint, CLASSIFIER_BIAS, _NUM_IMAGENET_CLASSES)
    info = ClassifierInfo(
        name=network,
        architecture=released.spec,
        scale=released.scale,
        class_names=(NO_CATEGORY, *named_classes(classes, num_classes, checkpoint.prefix)),
        weights="raw",
        norm_epsilon=_NORM_EPSILON if norm_epsilon is None else norm_epsilon,
    )
    built = unfilled(lambda: build_classifier(info))
    fill_slots(classifier_slots(built, released.spec), checkpoint, network, is_of_training)
    return built, info
