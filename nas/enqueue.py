"""python -m nas.enqueue: put architectures of one's own into a search, also while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError, short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.configuration import options_of
from nas.options.invocation import own_command
from nas.record.architecture import find_architecture
from nas.record.identity import complete_options, options_on_record
from nas.record.journal import read_record, refuse_links
from nas.record.record import Record
from nas.record.replays import replayed_run
from nas.record.waiting_list import add_to_waiting_list, waiting_names, waits
from search_space import Decisions, SearchSpace

HELP = """\
python -m nas.enqueue run=FOLDER spec=NAME_OR_FILE_OR_RUN [name=value ...]

Put architectures into a search. They wait in the run folder, and are trained before anything else that it proposes: by
the search that runs now, or by its next start. Each is a trial like all others: it counts among num_trials, and the
controller learns from it. A search that stops trainings early trains these to their end. The space is that of the run,
as its record says.

  python -m nas.enqueue run=runs/quickstart spec=mine.json
  python -m nas.enqueue run=runs/quickstart spec=[r0-sp53,mine.json]
  python -m nas.enqueue run=runs/quickstart spec=runs/other trial=7
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/enqueue.yaml`."""

    run: Path
    spec: str | tuple[str, ...]
    trial: int | None
    space: SearchSpace

    def __post_init__(self) -> None:
        if not self.specs:
            raise ValueError("spec: needs an architecture")

    @property
    def specs(self) -> tuple[str, ...]:
        """The architectures asked for, each once."""
        return tuple(dict.fromkeys(self.spec if isinstance(self.spec, tuple) else (self.spec,)))


def main(config: dict[str, Any]) -> None:
    """Put in what the configuration asks for."""
    options = build(Options, config, "")
    run = options.run
    record = read_record(run)
    if replayed_run(run) is not None:
        raise InputError(f"{short_path(run)} is a replay: put architectures into a search")
    refuse_links(run)
    _check_space(record, run, config)

    # All are looked at before the first is put in: one that cannot be is no reason for half of a list.
    found: dict[str, tuple[str, Decisions]] = {}
    for name in options.specs:
        candidate = find_architecture(name, options.trial).candidate
        try:
            decisions = options.space.encode(candidate)
        except ValueError as error:
            raise InputError(f"spec={name} is not in the space of {short_path(run)}: {error}") from None
        key = options.space.decode(decisions).key
        _refuse_known(record, run, name, key)
        found[key] = name, decisions

    for key, (name, decisions) in found.items():
        add_to_waiting_list(run, key, decisions)
        print(f"{name} ({key[:6]}) waits in {short_path(run)}")
    _say_what_is_lacking(run, record)


def _space_on_record(folder: Path) -> Mapping[str, Any] | None:
    """Return the options of a run that say what it can build: all that this command takes from its record."""
    recorded = options_on_record(folder)
    return None if recorded is None else _of_space(recorded)


def _of_space(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name.split(".")[0] in ("space", "block_kinds")}


def _check_space(record: Record, run: Path, config: Mapping[str, Any]) -> None:
    """Check that a space is that of a run: decisions of another would mean other architectures there.

    Raises:
        InputError: it is not; the message names an option that differs.
    """
    recorded = _of_space(complete_options(record.created.config))
    given = dict(options_of({"space": config["space"]}))
    for name in sorted(given.keys() | recorded.keys()):
        if name.startswith("space.") and given.get(name) != recorded.get(name):
            raise InputError(
                f"{name} is {recorded.get(name)} in {short_path(run)}, not {given.get(name)}; leave it out"
            )


def _refuse_known(record: Record, run: Path, name: str, key: str) -> None:
    """Check that an architecture neither waits nor was trained by this run: training it again is a replay's work.

    Raises:
        InputError: it does, or was.
    """
    if waits(run, key, record.queued):
        raise InputError(f"spec={name} waits in {short_path(run)} already")
    for trial in record.trials.values():
        if trial.key == key and trial.rung == 0 and trial.status in ("completed", "running"):
            outcome = "is running" if trial.reward is None else f"has reward {trial.reward:.4f}"
            raise InputError(f"spec={name} is trial {trial.number} of this run, which {outcome}")


def _say_what_is_lacking(run: Path, record: Record) -> None:
    """Say how many trials the run needs for all that waits, where it was begun with fewer."""
    num_trials = int(record.created.config["num_trials"])
    needed = len(record.trials) + len(waiting_names(run, record.queued))
    if needed > num_trials:
        command = f"{own_command('search')} run={short_path(run)} num_trials={needed}"
        print(f"A search that has no trial left to propose takes it up with more of them: {command}")


if __name__ == "__main__":
    run_command("enqueue", HELP, main, _space_on_record)
