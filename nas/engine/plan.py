"""The plan of a search: its number of trials, how each is trained, limited, stopped and promoted, and failures."""

from dataclasses import dataclass, field

from foundation import check_range
from nas.engine.failures import FailurePolicy
from nas.engine.limits import Limits
from nas.record.events import MAX_TRIALS
from nas.record.promotion import Promotion
from nas.record.stopping import Stopping
from proxy_tasks import Fidelity

_SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers and rules of a search: how many trials, and how each is trained, limited, promoted and retried.

    Attributes:
        num_trials: proposals in all, those on record and promotions included.
        seed: seed of the proposals, and of every evaluation: equal specs then give equal metrics, and a known key needs
            no training.
        fidelity: training of every trial; of the first rung where there are promotions.
        limits: costs above which an architecture is never trained.
        promotion: how the best are promoted to more training.
        failures: how failed trials are handled.
        stopping: which trainings end early.

    Raises:
        ValueError: a number out of range.
    """

    num_trials: int
    seed: int
    fidelity: Fidelity
    limits: Limits = field(default_factory=Limits)
    promotion: Promotion = field(default_factory=Promotion)
    failures: FailurePolicy = field(default_factory=FailurePolicy)
    stopping: Stopping = field(default_factory=Stopping)

    def __post_init__(self) -> None:
        check_range("num_trials", self.num_trials, 1, MAX_TRIALS, "their journal has 20 GB")
        if not 0 <= self.seed < _SEEDS:
            raise ValueError(f"seed must be 0 to {_SEEDS - 1}, got {self.seed}")

        # A promotion that no training could do would otherwise end the search when it is made.
        last = self.promotion.num_rungs - 1
        try:
            self.promotion.fidelity(self.fidelity, last)
        except ValueError as error:
            factor = self.promotion.reduction**last
            raise ValueError(
                f"promotion: its last rung trains for fidelity.epochs times {factor:g}, and {error}; choose fewer rungs"
            ) from None
