"""The warm start: architectures that a search evaluates before its controller proposes any."""

from dataclasses import dataclass
from pathlib import Path

from foundation import InputError, check_range
from nas.record.architecture import find_architecture, highest_ranked
from nas.record.events import MAX_TRIALS
from nas.record.journal import read_record
from nas.record.trial import Trial
from search_space import Candidate, Decisions, SearchSpace


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Architectures to evaluate first; the controller is told their results, as those of any other trial.

    They are trained like all others, so that every reward of a run was earned at the run's own task and fidelity.

    Attributes:
        specs: published names, paths of spec files, which end in `.json`, or runs, of which the best is taken.
        run: folder of another run; None for none.
        top: how many of that run's best to take.

    Raises:
        ValueError: a `top` out of range.
    """

    specs: tuple[str, ...] = ()
    run: Path | None = None
    top: int = 10

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")

    def best(self) -> list[Trial]:
        """Return the best trials of the other run; none where there is no such run.

        Raises:
            InputError: the run cannot be read, or none of its trials has a reward.
        """
        return [] if self.run is None else highest_ranked(read_record(self.run), self.run, self.top)

    def decisions(self, space: SearchSpace) -> tuple[Decisions, ...]:
        """Return the architectures as decisions of a space, each once.

        Raises:
            InputError: a spec or run that cannot be read, or a spec that is not in the space.
        """
        found = [(name, find_architecture(name).candidate) for name in self.specs]
        found += [(f"trial {trial.number} of {self.run}", trial.candidate) for trial in self.best()]

        # By key: several files, or trials of another run, may hold one architecture under different names.
        by_key: dict[str, Decisions] = {}
        for name, candidate in found:
            decisions = _encoded(space, name, candidate)
            by_key.setdefault(space.decode(decisions).key, decisions)
        return tuple(by_key.values())


def _encoded(space: SearchSpace, name: str, candidate: Candidate) -> Decisions:
    try:
        return space.encode(candidate)
    except ValueError as error:
        raise InputError(f"warm_start: {name} is not in the space: {error}") from None
