"""Interrupts held back: signals that stop a command take effect only where they are not lost and do no harm."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from nas.options.stop_signals import interrupt_by, stop_signals


class Interrupt:
    """An interrupt notes the first Ctrl-C, SIGTERM or SIGHUP while it is entered; the second one raises at once.

    Python raises `KeyboardInterrupt` between any two instructions. Inside a library it may be swallowed, and
    while Ray starts it leaves half a cluster behind. SIGTERM is what batch systems send before they kill, and SIGHUP
    what a terminal leaves behind: they are treated like Ctrl-C. Outside of the main thread this does nothing.
    """

    def __init__(self) -> None:
        self._asked_by: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.getsignal(number) for number in stop_signals()}
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if kind is None:
            self.raise_if_asked()

    def listen(self) -> None:
        """Take the signals over, again if a library has taken them since."""
        for number in self._previous:
            signal.signal(number, self._note)

    @property
    def is_asked(self) -> bool:
        """True once a signal was noted."""
        return self._asked_by is not None

    def raise_if_asked(self) -> None:
        """Raise the interrupt that was noted, if one was.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, or SIGTERM or SIGHUP came.
        """
        if self._asked_by is not None:
            asked_by, self._asked_by = self._asked_by, None
            raise interrupt_by(asked_by)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            # A terminal's end is told twice, by the system and by the shell, which shows no impatience.
            signal.signal(number, signal.SIG_IGN)
            self._previous[number] = signal.SIG_IGN
        elif self._asked_by is not None:
            raise interrupt_by(number)

        if self._asked_by is None:
            self._asked_by = number
