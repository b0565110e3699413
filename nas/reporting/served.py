"""The report of runs that are under way, served to a browser of this machine and made again when there is more to show.

It is read only: a request can ask for the page and for its state, nothing else. The page asks for the state every few
seconds, and loads itself again when that has changed.
"""

import hashlib
import sys
import threading
from collections.abc import Callable, Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from foundation import InputError
from nas.record.journal import FILE_NAME
from nas.reporting.page import page_of
from nas.reporting.runs import read_runs
from nas.reporting.trained import TrainedNetwork

ADDRESS = "127.0.0.1"
_SHOWN = (FILE_NAME, "*/*.json", f"replays/*/{FILE_NAME}", "replays/*/*/*.json")
"""Files below a run folder that a report is made of."""
_WAITING_S = 3
"""Seconds after which a browser asks again where there is nothing to show yet."""


class LivePage:
    """The page of some runs as they are now.

    Args:
        folders: of the runs.
        top: number of best architectures to show.
        warn: called with what is left out of the report, once for each line.
        trained: returns what was trained in full; read whenever the page is made.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        top: int,
        warn: Callable[[str], None],
        trained: Callable[[], Sequence[TrainedNetwork]] = tuple,
    ) -> None:
        self._folders, self._top, self._trained = folders, top, trained
        self._warn, self._warned = warn, set[str]()
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] | None = None

    def state(self) -> str:
        """Return a text that changes whenever a file does that the page is made of."""
        found = []
        for folder in self._folders:
            for pattern in _SHOWN:
                for path in sorted(folder.glob(pattern)):
                    # A file may be replaced between the two calls.
                    try:
                        status = path.stat()
                    except OSError:
                        continue
                    found.append((str(path), status.st_size, status.st_mtime_ns))
        return hashlib.sha256(repr(found).encode()).hexdigest()[:16]

    def page(self) -> bytes:
        """Return the page, made anew where the state is another than last time.

        Raises:
            InputError: there is nothing to report yet, or a run cannot be read.
        """
        # One at a time: several windows that ask at once get the same page.
        with self._lock:
            # The state comes before the runs: what is added while they are read makes another page.
            state = self.state()
            if self._made is None or self._made[0] != state:
                runs = read_runs(self._folders, self._warn_once)
                self._made = (state, page_of(runs, self._top, trained=self._trained(), state=state).encode())
            return self._made[1]

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            self._warn(line)


class ReportServer(ThreadingHTTPServer):
    """A server of one page on this machine's own address, which no other machine can reach.

    Args:
        page: what is served.
        port: to listen at; 0 for any that is free.

    Raises:
        InputError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, page: LivePage, port: int) -> None:
        self.page = page
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise InputError(
                f"cannot serve at port {port}: {error.strerror}; port=0 takes any port that is free"
            ) from None

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as socketserver has it
        """Keep silent about a browser that has gone before it had its answer; show any other error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers a request for the page or for its state."""

    server: ReportServer
    server_version = "report"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        # A page of another site may have its own name point to this machine; only these names are ours.
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (ADDRESS, "localhost"):
            self._send(HTTPStatus.FORBIDDEN, b"not served under this name", "text/plain")
        elif self.path == "/state":
            self._send(HTTPStatus.OK, self.server.page.state().encode(), "text/plain")
        elif self.path == "/":
            self._send_page()
        else:
            self._send(HTTPStatus.NOT_FOUND, b"there is one page: /", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401  # as http.server has it
        """Keep silent: the page asks for the state again and again."""

    def _send_page(self) -> None:
        try:
            page = self.server.page.page()
        except InputError as error:
            text = f"<!DOCTYPE html><meta charset=utf-8><title>Waiting</title><p>{escape(str(error))}"
            self._send(HTTPStatus.OK, text.encode(), "text/html", Refresh=str(_WAITING_S))
        else:
            self._send(HTTPStatus.OK, page, "text/html")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        headers |= {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
        headers |= {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
