"""Student's t: the quantile that 95 % intervals of few values need in place of the normal one."""

_SMALL = {1: 12.70620, 2: 4.302653, 3: 3.182446}
"""The quantile where the expansion is not good yet, from tables."""


def student_95(degrees: int) -> float:
    """Return the 97.5th percentile of Student's t.

    Source: Cornish and Fisher's expansion, Abramowitz and Stegun 26.7.5; within 0.005 from 4 degrees of freedom on.
    """
    if degrees in _SMALL:
        return _SMALL[degrees]
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    quantile: float = z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
    return quantile
