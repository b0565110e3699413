"""The measure of agreement: the largest difference between the answers of two networks."""

from torch import Tensor

TOLERANCE = 1e-4


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference, relative to the standard deviation of the reference's answer.

    Raises:
        ValueError: they are of different shapes.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"expected an answer of {tuple(theirs.shape)}, got {tuple(ours.shape)}")
    return float((ours - theirs).abs().max() / theirs.std())


def agree(*differences: float) -> bool:
    """Return whether all are within the tolerance, which what is not a number never is."""
    return all(value <= TOLERANCE for value in differences)
