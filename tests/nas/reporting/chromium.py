"""A real browser for tests: headless Chromium, spoken to over its debugging pipe, which needs no package.

`CHROMIUM` names the browser; without it the usual names are looked for on the path. On Debian and Ubuntu:
apt-get install --no-install-recommends chromium-headless-shell (Debian), or chromium.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")
TIMEOUT_S = 60.0
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # Chromium refuses to start as root with it, as in a container.
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card.
    "--no-first-run",
    "--window-size=1280,900",
)


def find_chromium() -> str | None:
    """Return the path of a browser, or None where there is none."""
    if named := os.environ.get("CHROMIUM"):
        return named
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A browser with one page.

    Attributes:
        errors: what the page's console showed as errors, and exceptions that nobody caught.
        requested: every address that the page asked for.
    """

    def __init__(self, path: str) -> None:
        self.errors: list[str] = []
        self.requested: list[str] = []
        self._id = 0
        self._unread = b""
        self._events: list[dict[str, Any]] = []
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Chromium reads from descriptor 3 and writes to descriptor 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            [
                "/bin/bash",
                "-c",
                script,
                "chromium",
                path,
                *FLAGS,
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        (page,) = [t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._out)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._folder.cleanup()

    def call(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401  # JSON
        """Send a command of the DevTools protocol to the page and return its result."""
        return self._call(method, self._session, **parameters)

    def open(self, path: Path) -> float:
        """Open a file; return the seconds until its last plot is drawn."""
        began = time.perf_counter()
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait_for("document.documentElement?.dataset.drawn !== undefined")
        return time.perf_counter() - began

    def wait_for(self, condition: str) -> None:
        """Return as soon as a JavaScript expression is true.

        Raises:
            TimeoutError: it does not become true.
        """
        until = time.monotonic() + TIMEOUT_S
        while not self.value(f"Boolean({condition})"):
            if time.monotonic() > until:
                raise TimeoutError(f"still false after {TIMEOUT_S:.0f} s: {condition}; errors: {self.errors}")
            time.sleep(0.02)

    def value(self, expression: str) -> Any:  # noqa: ANN401  # JSON
        """Return the value of a JavaScript expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"].get("exception", answer["exceptionDetails"]))
        return answer["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path, **options: Any) -> None:  # noqa: ANN401  # of the protocol
        """Write what the page shows as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", **options)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> Any:  # noqa: ANN401  # JSON
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._send(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _send(self, message: bytes) -> None:
        while message:
            message = message[os.write(self._out, message) :]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._in], [], [], TIMEOUT_S)[0]:
                raise TimeoutError("Chromium says nothing")
            if not (chunk := os.read(self._in, 1 << 20)):
                raise RuntimeError("Chromium ended")
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        values = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(values["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(values["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            self.errors.append(json.dumps(values["args"]))
        elif event.get("method") == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.errors.append(values["entry"]["text"])
