"""How numbers are written for a person."""


def count(number: float) -> str:
    """Return a large number with three figures and K, M or B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # What three figures would round up to the next letter has it already.
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.3g}{letter}" if value < 999.5 else f"{value:.0f}{letter}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    return f"{seconds / 3600:.1f} h"
