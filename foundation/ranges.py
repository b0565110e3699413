"""Ranges of numbers that a person may set, checked where a value is constructed."""


def check_range(name: str, value: float, low: float, high: float, reason: str) -> None:
    """Check that a number lies in its range, ends included.

    Args:
        name: the number's name in the message.
        value: the number.
        low: smallest value.
        high: largest value.
        reason: why there is a largest value, as part of a sentence.

    Raises:
        ValueError: it lies outside, or is no number.
    """
    # Written so that a NaN, which compares with nothing, is refused too.
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:g} to {high:g} ({reason}), got {value}")
