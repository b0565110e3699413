"""The text form of timings that benchmarks print."""

import statistics


def spread(seconds: list[float]) -> str:
    """Return median and quartiles in milliseconds, as wide as a column."""
    low, median, high = (1000 * q for q in statistics.quantiles(seconds, n=4))
    return f"{median:7.1f} ({low:.1f}-{high:.1f})".ljust(22)
