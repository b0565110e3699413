"""The arithmetic of results on record: counted, and put in words where results of more than one kind stand together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from nas.record.baselines import Baseline
from nas.record.trial import Trial
from proxy_tasks import Numerics

NumericsCount: TypeAlias = Mapping[Numerics | None, int]
"""The number of results in each arithmetic; None stands for those whose arithmetic is not on record."""


def count_numerics(trials: Iterable[Trial | Baseline]) -> NumericsCount:
    """Count the trials and baselines with metrics of a training, by the arithmetic that they were computed in."""
    return Counter(trial.numerics for trial in trials if trial.status == "completed")


def numerics_text(numerics: Numerics | None) -> str:
    """Return an arithmetic in a few words."""
    return "an arithmetic that is not on record" if numerics is None else str(numerics)


def mixture_line(counts: NumericsCount) -> str:
    """Return a line that says that results differ in their arithmetic; empty where they do not."""
    if len(counts) < 2:
        return ""
    most_first = sorted(counts.items(), key=lambda item: -item[1])
    parts = [f"{count} in {numerics_text(numerics)}" for numerics, count in most_first]
    return (
        f"mixed: {sum(counts.values())} results, {'; '.join(parts)}. Rewards of one arithmetic compare; those of two "
        "differ for equal architectures too"
    )


def starting_line(numerics: Numerics, beside: Mapping[str, NumericsCount]) -> str:
    """Return a line that says what is computed in, and which results beside it are not.

    Args:
        numerics: what trials are computed in from now on.
        beside: results that those of these trials stand beside, by what they are called.
    """
    parts = [f"computing in {numerics}"]
    for name, counts in beside.items():
        others = [other for other in counts if other != numerics]
        parts += [f"{name}: {counts[other]} in {numerics_text(other)}" for other in others]
    if len(parts) > 1:
        parts.append("rewards of one arithmetic compare, and only those are reused")
    return "; ".join(parts)


def is_beside_others(numerics: Numerics, beside: Mapping[str, NumericsCount]) -> bool:
    """Return whether some of the results were computed in another arithmetic."""
    return any(other != numerics for counts in beside.values() for other in counts)
