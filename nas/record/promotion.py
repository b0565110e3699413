"""Promotion: how much training a trial of each rung gets, and where its network is kept for the next."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from foundation import check_range
from nas.record.events import MAX_RUNG
from proxy_tasks import Fidelity, Weights

FOLDER = "weights"


@dataclass(frozen=True, slots=True)
class Promotion:
    """Promotes the best trials to more training.

    Attributes:
        num_rungs: amounts of training; 1 promotes nothing.
        reduction: one trial in this many is promoted, and each rung has this many times the epochs of the one below.
        keep_weights: whether a promoted trial continues from the trained network of the trial below, if that is found.
        max_weights_gb: gigabytes that these networks may take on disk; None for any number.

    Raises:
        ValueError: a number out of range.
    """

    num_rungs: int = 1
    reduction: int = 4
    keep_weights: bool = True
    max_weights_gb: float | None = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.num_rungs <= MAX_RUNG + 1:
            raise ValueError(f"num_rungs must be 1 to {MAX_RUNG + 1}, got {self.num_rungs}")
        check_range("reduction", self.reduction, 2, 1000, "a rung has this many times the epochs of the one below")
        if self.max_weights_gb is not None:
            check_range("max_weights_gb", self.max_weights_gb, 1e-6, 1e9, "null sets no bound")

    def fidelity(self, lowest: Fidelity, rung: int) -> Fidelity:
        """Return the fidelity of a rung, of which `lowest` is the first."""
        return replace(lowest, epochs=lowest.epochs * self.reduction**rung)

    @property
    def keeps(self) -> bool:
        """True where a run keeps networks: there is a rung that may start from them."""
        return self.keep_weights and self.num_rungs > 1

    def weights(self, run: Path, key: str, rung: int) -> Weights:
        """Return where a trial finds the network to continue from, and where it leaves its own.

        The last rung leaves nothing, as nothing continues from there.
        """
        if not self.keeps:
            return Weights()
        is_last = rung == self.num_rungs - 1
        return Weights(
            start_from=_file(run, key, rung - 1) if rung else None,
            keep_in=None if is_last else _file(run, key, rung),
        )


def kept_of(path: Path) -> tuple[str, int] | None:
    """Return the key and the rung of the trial whose network a file holds; None where it is none of ours."""
    found = re.fullmatch(r"([0-9a-f]+)-rung(\d+)\.pt", path.name)
    return None if found is None else (found[1], int(found[2]))


def _file(run: Path, key: str, rung: int) -> Path:
    return run / FOLDER / f"{key}-rung{rung}.pt"
