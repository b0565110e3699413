"""Bad entries of a data set: tolerated up to a share, counted, and all of them listed in one file."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from foundation import InputError, printable, write_whole

MAX_BAD_SHARE = 0.01
"""Largest share of bad entries by default: COCO 2017 itself holds a few, a small set of one's own a few in hundreds.

More means that the data is not what it says, or that a part of it was lost.
"""

Kind: TypeAlias = Literal["annotations", "boxes", "images", "masks"]


class Count(NamedTuple):
    """The number of bad entries among all entries of a kind."""

    num_bad: int
    num_all: int


class BadEntries:
    """Collects what is bad in one data set.

    Attributes:
        list_file: file that lists all of them, a line each; not there where there is none.
        max_share: largest share of the entries of one kind that may be bad.
    """

    def __init__(self, list_file: Path, max_share: float = MAX_BAD_SHARE) -> None:
        self.list_file = list_file
        self.max_share = max_share
        self._reasons: dict[Kind, list[str]] = {}
        self._num_all: dict[Kind, int] = {}

    @property
    def counts(self) -> dict[Kind, Count]:
        """Kinds that have bad entries, each with the number of these."""
        return {
            kind: Count(len(reasons), self._num_all[kind]) for kind, reasons in self._reasons.items() if len(reasons)
        }

    def note(self, kind: Kind, reasons: Iterable[str], num_all: int) -> None:
        """Take down what is bad among `num_all` entries of a kind, in place of what was known of that kind before."""
        self._reasons[kind] = list(reasons)
        self._num_all[kind] = num_all

    def check(self, source: Path) -> None:
        """Write the list, and check that no kind has too many bad entries.

        Args:
            source: the annotation file, which the message names.

        Raises:
            InputError: one has; the message begins with the first of them. Or the list cannot be written.
        """
        lines = [printable(reason) for reasons in self._reasons.values() for reason in reasons]
        if lines:
            write_whole(self.list_file, "".join(f"{line}\n" for line in lines).encode())
        else:
            # A list of what has been repaired since would mislead.
            self.list_file.unlink(missing_ok=True)

        for kind, count in self.counts.items():
            check_counts({kind: count}, self.max_share, f"{source}: {self._reasons[kind][0]}", self.list_file)


def check_counts(counts: Mapping[Kind, Count], max_share: float, what: str, list_file: Path) -> None:
    """Check that no kind has more bad entries than `most_allowed`.

    Args:
        counts: the bad entries of each kind.
        max_share: largest share of a kind that may be bad.
        what: beginning of the message.
        list_file: file that lists them.

    Raises:
        InputError: one has.
    """
    for kind, (num_bad, num_all) in counts.items():
        if num_bad > most_allowed(num_all, max_share):
            raise InputError(
                f"{what}; {num_bad} of {num_all} {kind} are bad, at most {100 * max_share:.3g} % may be, see "
                f"data.max_bad_share; all are listed in {list_file}"
            )


def most_allowed(num_all: int, max_share: float) -> int:
    """Return how many of all may be bad: a single one in any case, but never all, and none where the share is 0."""
    if not max_share or not num_all:
        return 0
    # The small number: 0.29 of 100 is below 29 in floating point.
    return min(max(1, math.floor(max_share * num_all + 1e-9)), num_all - 1)


def check_share(max_bad_share: float) -> None:
    """Check the option itself.

    Raises:
        ValueError: it is no share.
    """
    # Written so that a NaN is refused too.
    if not 0 <= max_bad_share <= 1:
        raise ValueError(f"max_bad_share must be from 0 to 1, got {max_bad_share}")


def list_file_of(unfinished: Path) -> Path:
    """Return the list of bad entries, which lies beside the folder that a cache is made in."""
    return unfinished.with_suffix(".bad.txt")
