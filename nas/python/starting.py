"""A search that runs in a process of Python: one at a time, and what its summary ends with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from rich.console import Console

from foundation import InputError, short_path
from nas.options.command_line import command_config
from nas.options.invocation import Invocation, invoked_by, own_command
from nas.options.output import output_may_be_lost
from nas.options.stop_signals import stop_signals_as_interrupts
from nas.record.identity import options_on_record
from nas.record.record import Record
from nas.record.replays import comparing_command
from nas.record.trial import Trial
from nas.running import has_work, print_tracking_hints
from nas.searching import FollowUp, build_search, search
from nas.setup import Setup

_RUNNING = Lock()


def run_search(arguments: Sequence[str]) -> Path:
    """Run or resume a search here; return its run folder.

    Args:
        arguments: as those of `python -m nas.search`.

    Raises:
        InputError: as of the command, or another search is running in this process.
        KeyboardInterrupt: the user stopped it.
    """
    call = Invocation(tuple(arguments), is_from_python=True)
    try:
        with _alone(), invoked_by(call), output_may_be_lost(), stop_signals_as_interrupts():
            config = command_config("config", arguments, options_on_record)
            setup = build_search(config)
            search(setup, config, FollowUp(_print_follow_up, _compare))
            return setup.run
    except (InputError, KeyboardInterrupt) as end:
        # The frames of what was being trained tell a person nothing.
        raise end.with_traceback(None) from None


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a second search out of this process: the two would share Ray, and torch's seeds and threads.

    Raises:
        InputError: there is one.
    """
    if not _RUNNING.acquire(blocking=False):
        raise InputError(
            "another search is running in this process: wait for it, or start this one in a process of its own"
        )
    try:
        yield
    finally:
        _RUNNING.release()


def _print_follow_up(console: Console, setup: Setup, record: Record, best: Trial | None) -> None:
    """Print the calls that resume or extend the run, and where it has a best trial those that look into it."""
    run = f"Run.open({short_path(setup.run)!r})"
    num_told = len(record.told)
    if num_told < setup.num_trials or has_work(setup, record):
        console.print(f"Resume:  {run}.resume(num_trials={setup.num_trials})", soft_wrap=True)
    else:
        console.print(f"Extend:  {run}.resume(num_trials={2 * max(setup.num_trials, num_told)})", soft_wrap=True)

    if best is not None:
        console.print(f"Report:  {run}.report()", soft_wrap=True)
    print_tracking_hints(setup.tracking, setup.run, console)


def _compare(setup: Setup, record: Record) -> str:
    """Return the command that trains the best again with several seeds; empty where seeds do nothing."""
    return comparing_command(record, own_command("replay"), short_path(setup.run))
