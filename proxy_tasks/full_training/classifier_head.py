"""The head that says what an image shows: a linear classifier, cross entropy, top-1 and top-5, and its file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.classifier_file import ClassifierInfo, save_classifier
from proxy_tasks.classification.labelled import LabelledImages, read_labelled
from proxy_tasks.classification.objective import ClassObjective
from proxy_tasks.classification.recipe import ClassRecipe
from proxy_tasks.classification.scoring import Answers, classify_all, score
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.full_training.head import Trained
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.starting_weights import fill, read_start
from proxy_tasks.networks.layers import Reference
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.training.recipe import Recipe


class ClassifierHead:
    """Classes, a `Head`.

    Args:
        plan: what to train.

    Raises:
        InputError: the data cannot be used, or the weights to start from cannot be read.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        # A plan with this head has a protocol for it.
        self._plan, self._recipe = plan, plan.protocol.classification or ClassRecipe()
        self.data = open_data(plan.data)
        for name, split in (("the training images", self.data.train), ("the images to score", self.data.scored)):
            labels_of(split.annotations, name)
        self._class_names = tuple(str(name) for name in self.data.train.annotations.category_names)
        self.start = None if plan.weights is None else read_start(plan.weights)
        self._reference: Reference = "tpu" if self.start is None else self.start.reference

    @property
    def num_scored(self) -> int:
        """The number of images that are scored."""
        return len(self.data.scored_rows)

    def build(self) -> nn.Module:
        """Return the network with the weights that it starts from."""
        plan, num_classes = self._plan, len(self._class_names)
        network = build_network(
            plan.architecture, plan.scale, head="classifier", num_classes=num_classes, reference=self._reference
        )
        if plan.weights is not None and self.start is not None:
            fill(network, self.start, plan.weights, "classifier", self._class_names)
        return network

    def objective(self, network: nn.Module, recipe: Recipe, *, bf16: bool) -> ClassObjective:
        """Return what the training minimises."""
        return ClassObjective(self._recipe, flip=recipe.flip, bf16=bf16)

    def batches(self, steps: Iterable[NDArray[np.int64]], device: torch.device) -> Iterator[LabelledImages]:
        """Yield original images with their classes."""
        return read_labelled(self.data.train, steps, device)

    def find(self, network: nn.Module, rows: NDArray[np.int64], *, bf16: bool) -> Answers:
        """Return how many classes the network holds for likelier than the true one of each image."""
        return classify_all(network, self.data.scored, rows, bf16=bf16)

    def metrics(self, found: Sequence[Answers]) -> dict[str, float]:
        """Return top-1 and top-5."""
        return score(found)

    def save(self, path: Path, trained: Trained) -> None:
        """Write a file of a classifier."""
        plan = self._plan
        info = ClassifierInfo(
            name=plan.name,
            architecture=plan.architecture,
            scale=plan.scale,
            class_names=self._class_names,
            weights="raw" if trained.averaged is None else "averaged",
            reference=self._reference,
            norm_epsilon=trained.norm_epsilon,
            recipe=trained.recipe,
            metrics=trained.metrics,
            run=plan.run.name,
            search=plan.search,
            trial=plan.trial,
            versions=plan.versions,
        )
        save_classifier(path, info, raw=trained.raw, averaged=trained.averaged, inside=plan.run)
