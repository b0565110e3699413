"""The live panel in a notebook: a place below the running cell that is written over, with the last lines above it."""

import io
from collections import deque
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from rich.console import Console, RenderableType

_NUM_LINES = 20
"""Last lines that are shown, and that stay when the search has ended: a notebook keeps what its cells show."""
_REFRESH_EVERY_S = 1.0


class CellPanel:
    """Shows the last lines of long work and a panel below them, in one output of the cell that runs it.

    A thread writes it over where something has changed, at most once a second: what a browser is sent does not grow
    with the time that a trial takes.

    Args:
        panel: returns the panel of the moment.
        width: characters in a line.
    """

    def __init__(self, panel: Callable[[], RenderableType], width: int) -> None:
        self._panel = panel
        self._width = width
        self._lines: deque[str] = deque(maxlen=_NUM_LINES)
        self._lock = Lock()
        self._has_changed, self._is_over = Event(), Event()
        self._thread = Thread(target=self._keep_fresh, name="panel of a cell", daemon=True)
        self._place: Any = None  # IPython has no types

    def start(self) -> None:
        """Take a place below the cell."""
        from IPython.display import display

        show: Any = display  # it has no types either
        self._place = show(self._content(with_panel=True), raw=True, display_id=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the last lines, without the panel."""
        if self._place is None:
            return
        self._is_over.set()
        self._has_changed.set()
        self._thread.join()
        self._place.update(self._content(with_panel=False), raw=True)

    def add(self, line: str) -> None:
        """Show one more line."""
        with self._lock:
            self._lines.append(line)
        self._has_changed.set()

    def refresh(self) -> None:
        """Show the panel of this moment."""
        self._has_changed.set()

    def _keep_fresh(self) -> None:
        while not self._is_over.wait(_REFRESH_EVERY_S):
            self._has_changed.wait()
            self._has_changed.clear()
            if not self._is_over.is_set():
                self._place.update(self._content(with_panel=True), raw=True)

    def _content(self, *, with_panel: bool) -> dict[str, str]:
        """Return the lines and the panel as the text of an output."""
        text = io.StringIO()
        if with_panel:
            Console(file=text, width=self._width, force_terminal=False, force_jupyter=False).print(self._panel())
        with self._lock:
            lines = list(self._lines)
        return {"text/plain": "\n".join([*lines, text.getvalue()]).rstrip("\n")}
