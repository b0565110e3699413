"""Signals that stop a command: an interrupt comes at once, or where it is held back as soon as it may."""

import os
import signal

import pytest

from nas.options.stop_signals import stop_signals_as_interrupts, stop_signals_held_back


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_held_back_interrupts_at_the_end(number: signal.Signals) -> None:
    imported: list[str] = []

    def import_something() -> None:
        with stop_signals_held_back():
            os.kill(os.getpid(), number)
            imported.append("whole")

    with stop_signals_as_interrupts():
        with pytest.raises(KeyboardInterrupt):
            import_something()
        assert imported == ["whole"]
        # And at once from then on.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
