"""The signals that stop a command: Ctrl-C, the SIGTERM of batch systems, and the SIGHUP of a terminal that closes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop this command; none outside of the main thread, where Python sets no handlers.

    A SIGHUP that is ignored stays so: nohup starts commands in that way, which are to outlive their terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    is_hup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(number for number in _STOP_SIGNALS if not (number == signal.SIGHUP and is_hup_ignored))


@contextmanager
def stop_signals_as_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt`, with the signal's name, for every signal that stops a command."""
    previous = {number: signal.getsignal(number) for number in stop_signals()}
    for number in previous:
        signal.signal(number, _interrupt)

    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def hangup_held_back() -> Iterator[None]:
    """Let SIGHUP wait until the end, and have the processes that are started meanwhile never hear of it.

    When a terminal closes, all processes that were started from it get the signal, those of a library too.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


@contextmanager
def stop_signals_held_back() -> Iterator[None]:
    """Let the signals that stop a command wait until the end, as where large libraries are imported.

    Parts of these import others from C++ code, and an interrupt that is raised there ends the process with an abort.
    A mask of signals would not do: it holds for one thread, and the system gives the signal to another.
    """
    arrived: list[int] = []
    previous = {number: signal.getsignal(number) for number in stop_signals()}
    for number in previous:
        signal.signal(number, lambda number, _frame: arrived.append(number))

    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def interrupt_by(number: int) -> KeyboardInterrupt:
    """Return the interrupt that stands for a signal."""
    return KeyboardInterrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A terminal's end is told by the system and by the shell: the second time must not cut off what the first began.
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    raise interrupt_by(number)
