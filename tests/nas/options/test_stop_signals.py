"""Signals that stop a command: an interrupt comes at once, or where it is held back as soon as it may."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from nas.options.stop_signals import stop_signals_as_interrupts, stop_signals_held_back


@pytest.fixture
def another_thread() -> Iterator[None]:
    """Run a second thread meanwhile: the system may give it what is sent to the process."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@pytest.mark.usefixtures("another_thread")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_held_back_interrupts_at_the_end(number: signal.Signals) -> None:
    imported: list[str] = []

    def import_something() -> None:
        with stop_signals_held_back():
            os.kill(os.getpid(), number)
            # Long enough for the other thread to wake up with it.
            time.sleep(0.05)
            imported.append("whole")

    with stop_signals_as_interrupts():
        with pytest.raises(KeyboardInterrupt):
            import_something()
        assert imported == ["whole"]
        # And at once from then on.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
