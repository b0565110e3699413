"""The watch over somebody else's cluster: what a search says that has lost it."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.record.journal import FILE_NAME, read_record

RAY = Path(sysconfig.get_path("scripts")) / "ray"


@dataclass(frozen=True, slots=True)
class Head:
    """A head with one core that `ray start` has left running; its processes are known by their token."""

    address: str
    environment: Mapping[str, str]

    def processes(self, name: str = "") -> list[int]:
        """Return the processes of this head, and of drivers on it, whose program has this name."""
        token = self.environment["RAY_AUTH_TOKEN"].encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and token in (folder / "environ").read_bytes():
                    program = (folder / "cmdline").read_text().split("\0")[0]
                    found += [int(folder.name)] if program.endswith(name) else []
            except OSError:
                continue  # it has ended meanwhile
        return found


@pytest.fixture
def head() -> Iterator[Head]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = kept | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }

    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        options = ["--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=1"]
        options += ["--include-dashboard=false", "--object-store-memory=80000000", f"--temp-dir={folder}"]
        with (Path(folder) / "log").open("wb") as log:
            subprocess.run([RAY, "start", *options], env=environment, stdout=log, stderr=log, timeout=60, check=True)
        made = Head(f"127.0.0.1:{port}", environment)
        yield made
        for pid in made.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize(
    ("process", "lost", "within_s"),
    [("gcs_server", "the head of the cluster", 58), ("raylet", "Ray on this machine", 9)],
)
def test_a_search_that_lost_its_cluster_says_so_and_how_to_continue(
    head: Head, tmp_path: Path, process: str, lost: str, within_s: float
) -> None:
    arguments = ("task=landscape", f"executor.address={head.address}", "num_trials=1000000", "run=run")
    with (tmp_path / "errors").open("wb") as errors:
        search = subprocess.Popen(
            [sys.executable, "-m", "nas.search", *arguments],
            cwd=tmp_path, env=head.environment, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    journal = tmp_path / "run" / FILE_NAME
    while not (journal.exists() and '"event":"told"' in journal.read_text()):
        assert search.poll() is None
        time.sleep(0.1)

    (pid,) = head.processes(process)
    os.kill(pid, signal.SIGKILL)
    assert search.wait(within_s) == 2
    last = (tmp_path / "errors").read_text().splitlines()[-1]
    assert re.search(
        f"^error: the cluster was lost: {lost} at 127.0.0.1:\\d+ does not answer any more; nothing is", last
    )
    assert last.endswith(f"-m nas.search {' '.join(arguments)}")
    assert read_record(tmp_path / "run").told
