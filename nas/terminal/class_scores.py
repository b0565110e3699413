"""The figures of a classifier, as a person and as a program reads them."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from proxy_tasks.classification.classifier_scoring import ClassifierScores


def plain_class_scores(scores: "ClassifierScores", *, per_class: bool) -> dict[str, Any]:
    """Return the figures as JSON has them, fractions in [0, 1]; those of each class where they are asked for."""
    plain: dict[str, Any] = {"num_images": scores.num_images, "metrics": scores.metrics}
    if per_class:
        plain["classes"] = [one._asdict() for one in scores.classes]
    return plain


def show_class_scores(
    console: Console, scores: "ClassifierScores", what: str, image_size_px: int, *, per_class: bool
) -> None:
    """Print the figures.

    Args:
        console: shows them.
        scores: the figures.
        what: the weights that they are of.
        image_size_px: side of the images as the network saw them.
        per_class: print those of each class too, the best first.
    """
    of = f" of {scores.num_listed}" if scores.num_listed > scores.num_images else ""
    console.print(f"{what}, on {scores.num_images}{of} images of {image_size_px} px", soft_wrap=True)
    console.print(f"top-1 {scores.metrics['top1']:.4f}, top-5 {scores.metrics['top5']:.4f}")
    if not per_class:
        return

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("class", "images", "top-1", "top-5"):
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=True)
    for one in sorted(scores.classes, key=lambda one: -one.top1):
        table.add_row(one.name, str(one.num_images), f"{one.top1:.4f}", f"{one.top5:.4f}")
    console.print(table)
