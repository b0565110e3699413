"""The winners of a search, each trained in full by its own command, one after another or side by side over Ray."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError, short_path
from nas.engine.job import Job, Outcome
from nas.record.lock import RunLock
from nas.record.trial import Failure, FailureKind, Trial
from nas.training.journal import FILE_NAME, metric_of, read_events
from nas.training.launch import train_by_command
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, Numerics, OptionRules, Report, Weights
from proxy_tasks.coco.folder import MACHINE
from proxy_tasks.full_training.head_names import words_of_metric
from search_space import Candidate
from search_space.kinds import added_kinds

OWN_OPTIONS = ("search", "top", "run", "spec", "trial", "executor")
"""Options of the whole command, which a single training does not have, or has its own of."""
_SAME = ("head", "protocol", "scale", "seed", "images_at_once", "classes", "score_on", "data")
"""Options that a training must have been finished with for it to be passed over."""
_RESUMED_AFTER: tuple[FailureKind, ...] = ("gpu_lost", "worker_lost", "node_lost")
_MAX_RESUMED = 2
"""Times that a training is resumed after its worker was lost."""
_FREE_WITHIN_S = 60.0
"""Longest time that a training whose worker was lost may take to write its last checkpoint."""


@dataclass(frozen=True, slots=True)
class Winner:
    """One of the best architectures of a search, to be trained in full.

    Attributes:
        trial: of the search.
        folder: of its training.
    """

    trial: Trial
    folder: Path

    @property
    def name(self) -> str:
        """The name in lines and tables, as `spinenet-7`."""
        return self.folder.name


def highest_figure(folder: Path) -> tuple[str, float] | None:
    """Return the highest figure that a training has on record, and its name, as AP; None where it has none.

    Raises:
        InputError: its journal is damaged.
    """
    return highest_of(read_events(folder)) if (folder / FILE_NAME).is_file() else None


def highest_of(events: Sequence[Mapping[str, Any]]) -> tuple[str, float] | None:
    """Return the highest figure among the events of a training, and its name, as AP; None where there is none."""
    measured = [event for event in events if event["event"] == "evaluated"]
    if not measured:
        return None
    metric = metric_of(measured[0])
    return words_of_metric(metric), max(event["metrics"][metric] for event in measured)


def figure_text(folder: Path) -> str:
    """Return the highest figure of a training as the end of a line, empty where it has none."""
    found = highest_figure(folder)
    return "" if found is None else f", {found[0]} {found[1]:.4f}"


def is_finished(folder: Path, config: Mapping[str, Any]) -> bool:
    """Return whether a folder holds a training that came to its end with these options.

    One with other options is not passed over: its command says what differs.

    Raises:
        InputError: its journal is damaged.
    """
    if not (folder / FILE_NAME).is_file():
        return False
    events = read_events(folder)
    configs = [event.get("config", {}) for event in events if event["event"] == "started"]
    is_same = bool(configs) and _what_counts(configs[-1]) == _what_counts(config)
    return is_same and any(event["event"] == "finished" for event in events)


def _what_counts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a training must have been finished with, without those of its data that do not count."""
    left_out = {name.removeprefix("data.") for name in MACHINE}
    if config.get("score_on") == "val":
        # All images are trained on.
        left_out |= {"num_held_out", "split_seed"}
    data = config.get("data")
    if isinstance(data, Mapping):
        data = {name: value for name, value in data.items() if name not in left_out}
    return {**{name: config.get(name) for name in _SAME}, "data": data}


def arguments_of(winner: Winner, search: Path, given: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of the command that trains one winner as the command with `given` trains them all."""
    kept = [argument for argument in given if _option(argument) not in OWN_OPTIONS]
    return (*kept, "search=null", f"spec={search}", f"trial={winner.trial.number}", f"run={winner.folder}")


def _option(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~").partition(".")[0]


@dataclass(frozen=True, slots=True)
class FullTraining:
    """The task of the workers: each evaluation is a whole training, by the command for it.

    Attributes:
        commands: arguments of each command, and the folder of its training, by the key of the architecture.
        current_folder: folder that the commands start in.
    """

    commands: Mapping[str, tuple[tuple[str, ...], Path]]
    current_folder: Path

    @property
    def metric_names(self) -> tuple[str, ...]:
        """None: what a training found stands in its folder."""
        return ()

    @property
    def cost_names(self) -> tuple[str, ...]:
        """None: what a network costs limits nothing here."""
        return ()

    @property
    def option_rules(self) -> OptionRules:
        """None of its own: the command has its rules."""
        return OptionRules()

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Make nothing: each command sees to its data."""
        return ()

    def verify(self, report: Report) -> None:
        """Check nothing, for the same reason."""

    def load(self) -> None:
        """Load nothing: each command is a process of its own."""

    def numerics(self) -> Numerics | None:
        """Return None: trainings are not compared with those of a record."""
        return None

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return nothing, see `cost_names`."""
        return {}

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Train an architecture to the end, or resume that; fidelity and seed stand in the command.

        Raises:
            InputError: the training cannot begin or go on; the message is the command's.
        """
        arguments, folder = self.commands[candidate.key]
        _await_release(folder)
        train_by_command(arguments, self.current_folder)
        return Evaluation({})


def _await_release(folder: Path) -> None:
    """Wait while another process has a training's folder: one whose worker was lost first writes a checkpoint."""
    until = time.monotonic() + _FREE_WITHIN_S
    while folder.is_dir() and time.monotonic() < until:
        try:
            RunLock(folder).release()
        except (InputError, OSError):
            time.sleep(0.5)
            continue
        return


class Winners:
    """The source of the trainings that an executor is to run; see `TrialSource`.

    Args:
        winners: what to train, the best first.
        say: called with a line on each training that begins or is resumed.
        warn: called with a line on each that fails, or whose worker was lost.
    """

    def __init__(self, winners: Sequence[Winner], say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._winners = winners
        self._say, self._warn = say, warn
        self._waiting = deque(range(len(winners)))
        self._num_lost: Counter[int] = Counter()
        self.failures: dict[str, str] = {}
        """Why the trainings that failed did, by the names of their winners."""

    def start_trial(self, numerics: Numerics | None = None) -> Job | None:
        """Return the next training; None where none is waiting now."""
        if not self._waiting:
            return None
        number = self._waiting.popleft()
        winner = self._winners[number]
        self._say(f"{winner.name}: trained in {short_path(winner.folder)}")
        return Job(number, winner.trial.candidate, Fidelity(1), seed=0, kinds=added_kinds())

    def finish_trial(self, outcome: Outcome) -> None:
        """Take the outcome of a training; one whose worker was lost is resumed, from its last checkpoint."""
        winner = self._winners[outcome.trial]
        result = outcome.result
        if not isinstance(result, Failure):
            self._say(f"{winner.name}: done{figure_text(winner.folder)}")
            return

        why = result.message.removeprefix("InputError: ")
        self._num_lost[outcome.trial] += 1
        if result.kind in _RESUMED_AFTER and self._num_lost[outcome.trial] <= _MAX_RESUMED:
            self._warn(f"{winner.name}: {why}; resumed from its last checkpoint")
            self._waiting.append(outcome.trial)
            return
        self._warn(f"{winner.name}: {why}")
        self.failures[winner.name] = why


def results(winners: Sequence[Winner], failures: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: name, reward in the search, highest figure and folder; a failure says so."""
    for winner in winners:
        found, reward = highest_figure(winner.folder), winner.trial.reward
        yield (
            winner.name,
            "" if reward is None else f"{reward:.4f}",
            "failed" if winner.name in failures else "" if found is None else f"{found[1]:.4f}",
            short_path(winner.folder),
        )
