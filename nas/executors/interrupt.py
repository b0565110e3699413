"""Interrupts held back: Ctrl-C and SIGTERM take effect only where they are not lost and do no harm."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """An interrupt notes the first Ctrl-C or SIGTERM while it is entered; the second one raises at once.

    Python raises `KeyboardInterrupt` between any two instructions. Inside a library it may be swallowed, and
    while Ray starts it leaves half a cluster behind. SIGTERM is what batch systems send before they kill; it is treated
    like Ctrl-C. Outside of the main thread this does nothing.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in _SIGNALS}
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

    def raise_if_asked(self) -> None:
        """Raise the interrupt that was noted, if one was.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, or SIGTERM came.
        """
        if self._is_asked:
            self._is_asked = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True
