"""The call that work was asked for by, and how a person asks again: a command line, or Python."""

import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from foundation import short_path
from nas.own_packages import DISTRIBUTION


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call that stands in the place of this process's command line.

    Attributes:
        arguments: the options and flags, as on a command line.
        is_from_python: whether a person made it in Python, where no command was started that could be repeated.
    """

    arguments: tuple[str, ...]
    is_from_python: bool = False


_INVOCATION: ContextVar[Invocation | None] = ContextVar("_INVOCATION", default=None)


@contextmanager
def invoked_by(invocation: Invocation) -> Iterator[None]:
    """Have what is done meanwhile take its arguments from a call, in place of the command line."""
    token = _INVOCATION.set(invocation)
    try:
        yield
    finally:
        _INVOCATION.reset(token)


def given_arguments() -> Sequence[str]:
    """Return the options and flags that the work was asked for with."""
    invocation = _INVOCATION.get()
    return sys.argv[1:] if invocation is None else invocation.arguments


def python_command() -> str:
    """Return how to call this interpreter from here: a virtual environment below this folder may not be active."""
    path = short_path(sys.executable)
    return "python" if path.startswith("..") else path


def how_to_continue() -> str:
    """Return what a person should know, and do, after a search has lost what its trials ran on."""
    invocation = _INVOCATION.get()
    again = shlex.join([python_command(), *sys.orig_argv[1:]])
    if invocation is not None and invocation.is_from_python:
        again = "the same call, or Run.open(...).resume()"
    return f"nothing is lost, every trial that ended is on record; resume with: {again}"


def own_command(name: str) -> str:
    """Return how to call another of our commands from here: as this one was called, by the script or by python -m."""
    scripts = [word for word in sys.orig_argv[1:3] if Path(word).name == DISTRIBUTION]
    if not scripts:
        return f"{shlex.quote(python_command())} -m nas.{name}"
    path = short_path(scripts[0])
    return f"{DISTRIBUTION if path.startswith('..') else shlex.quote(path)} {name}"


def this_command(name: str, without: Collection[str]) -> str:
    """Return the command of a name with the options of this one, but for some of them, ready to paste."""
    kept = [shlex.quote(argument) for argument in given_arguments() if argument.partition("=")[0] not in without]
    return " ".join([own_command(name), *kept])
