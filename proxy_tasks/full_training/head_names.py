"""The heads that can be trained in full, by name, and the words of each; this needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

HeadName: TypeAlias = Literal["retinanet", "mask_rcnn", "classifier"]
LAST = "last.pt"
"""File of the network after the last step."""


@dataclass(frozen=True, slots=True)
class HeadWords:
    """The words for what is trained with one head.

    Attributes:
        network: what a trained one is called.
        file: name of the file of the best one so far.
        metric: the figure, out of those that the head measures, that is the higher the better.
        metric_text: the same as people read it.
        scored: what is counted by that figure.
    """

    network: str
    file: str
    metric: str
    metric_text: str
    scored: str


HEADS: Mapping[HeadName, HeadWords] = {
    "retinanet": HeadWords("detector", "detector.pt", "ap", "AP", "objects"),
    "mask_rcnn": HeadWords("detector", "detector.pt", "mask_ap", "mask AP", "masks"),
    "classifier": HeadWords("classifier", "classifier.pt", "top1", "top-1", "images"),
}


def words_of_metric(metric: str) -> str:
    """Return a figure as people read it."""
    return next((words.metric_text for words in HEADS.values() if words.metric == metric), metric)


def trained_path(path: Path) -> Path:
    """Return the file of a trained network of any head, where a person may name the training's folder in its place."""
    if not path.is_dir():
        return path
    files = [path / words.file for words in HEADS.values()]
    return next((file for file in files if file.exists()), files[0])
