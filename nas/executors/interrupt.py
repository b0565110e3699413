"""Ctrl-C at a moment of our choosing, where an exception out of nowhere would be lost or do harm."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """Notes the first Ctrl-C while it is entered; the second one raises at once, as usual.

    Python raises `KeyboardInterrupt` between any two instructions. Inside a library it may be swallowed, and
    while Ray starts it leaves half a cluster behind. Outside of the main thread this does nothing.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if kind is None:
            self.raise_if_asked()

    def raise_if_asked(self) -> None:
        """Raise the interrupt that was noted, if one was.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._is_asked:
            self._is_asked = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True
