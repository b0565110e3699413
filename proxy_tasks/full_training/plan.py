"""The plan of a full training: all that decides its result, as one value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundation import InputError
from proxy_tasks.coco.open_data import DataOptions
from proxy_tasks.device_options import Precision
from proxy_tasks.full_training.head_names import HeadName
from proxy_tasks.full_training.protocol import TrainingProtocol
from search_space import ArchSpec, ModelScale


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """All that decides the result of a full training, and where it is kept.

    Attributes:
        run: folder of the training.
        name: what to call the network in tables.
        head: what the network is for.
        architecture: the spec, or the name of a network that has none.
        scale: size of the network, with what the protocol changes in it.
        protocol: how it is trained.
        weights: file of a trained network to start from; None for new weights.
        data: the images, with `score_on` for those that are scored.
        seed: of weights, order and augmentation.
        device: `auto`, `cpu` or `cuda`; with several processes each takes a GPU of its own.
        precision: number format of the convolutions.
        images_at_once: most images that a process takes at once; a larger share is taken in parts. None for all.
        validate_every: epochs between two measurements.
        checkpoint_every_s: seconds between two checkpoints.
        search: name of the search that the architecture is from; None for none.
        trial: number of the trial in that search.
        versions: of the packages that do the training.

    Raises:
        InputError: the protocol is for another head.
    """

    run: Path
    name: str
    head: HeadName
    architecture: ArchSpec | str
    scale: ModelScale
    protocol: TrainingProtocol
    weights: Path | None
    data: DataOptions
    seed: int
    device: str
    precision: Precision
    images_at_once: int | None
    validate_every: float
    checkpoint_every_s: float
    search: str | None
    trial: int | None
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        # Said before any image is cached.
        is_for_classes = self.protocol.classification is not None
        if self.head == "classifier" and not is_for_classes:
            raise InputError("head=classifier: this protocol trains detectors; protocol=classes trains classifiers")
        if self.head != "classifier" and is_for_classes:
            other = "mask_rcnn" if self.head == "mask_rcnn" else "b"
            raise InputError(f"head={self.head}: this protocol trains classifiers; protocol={other} trains detectors")

    def options(self) -> dict[str, Any]:
        """Return what makes the training what it is, as plain values: a checkpoint with other ones is of another."""
        architecture = self.architecture if isinstance(self.architecture, str) else self.architecture.key
        parts = {"scale": asdict(self.scale), "protocol": self.protocol.plain()}
        plain = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        # Named only where it is another, as trainings had no other before.
        head: dict[str, Any] = {} if self.head == "retinanet" else {"head": self.head}
        return {
            **head,
            "spec": architecture,
            "seed": self.seed,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()},
        }
