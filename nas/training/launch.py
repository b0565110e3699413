"""Processes of nas.train on one machine: started, told of signals, and ended together."""

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

from foundation import InputError
from nas.executors.interrupt import Interrupt
from nas.options.command_line import EXIT_INTERRUPTED

STATUS_LOST_OTHERS = 3
"""Exit status of a process whose training cannot go on as another one has ended."""
_LAUNCHED = "SPINENET_TRAIN_LAUNCHED"
"""Variable of the environment that processes have which this module started."""
_LOST = "lost the other processes: "
_LOOK_EVERY_S = 0.1
_TELL_AFTER_S, _GRACE_S = 2.0, 30.0
"""Time that processes have to end by themselves once one of them has failed, and to end at all."""
_NO_CAUSE = (0, STATUS_LOST_OTHERS, EXIT_INTERRUPTED, -signal.SIGTERM)
"""Exit statuses of processes that have not failed of themselves."""


def launch(count: int, threads: int | None) -> None:
    """Run this very command in `count` processes, and wait for their end.

    Args:
        count: number of processes.
        threads: threads of each; None leaves them what torch takes.

    Raises:
        InputError: one of them failed, and has not said why itself.
        KeyboardInterrupt: a signal came; each process was told, and has written what it had to.
        SystemExit: the first process failed, and has said why.
    """
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    if threads is not None and "OMP_NUM_THREADS" not in os.environ:
        shared["OMP_NUM_THREADS"] = str(threads)

    with Interrupt() as interrupt, tempfile.TemporaryFile() as errors:
        processes = [_start(rank, shared, errors) for rank in range(count)]
        try:
            first_to_fail = _await(processes, interrupt)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        interrupt.raise_if_asked()
        _report(processes, first_to_fail, errors)


def train_by_command(arguments: Sequence[str], folder: Path) -> None:
    """Run the command nas.train with these arguments, in a process that ends with this one, and wait for its end.

    Args:
        arguments: of the command.
        folder: that it starts in.

    Raises:
        InputError: it failed; the message is what it said last.
        KeyboardInterrupt: a signal came; the command was told, and has written its checkpoint.
    """
    with Interrupt() as interrupt, tempfile.TemporaryFile() as errors:
        process = _popen(arguments, {}, None, errors, folder)
        try:
            _await([process], interrupt)
        finally:
            process.kill()
            process.wait()
        interrupt.raise_if_asked()

        if process.returncode < 0:
            raise InputError(f"ended by {signal.Signals(-process.returncode).name}; the same command resumes")
        if process.returncode:
            raise InputError(_last_words(errors))


def _start(rank: int, shared: Mapping[str, str], errors: BinaryIO) -> subprocess.Popen[bytes]:
    """Start one process; the first speaks for all, and what another says is read where it was the one to fail."""
    place = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    if rank == 0:
        return _popen(sys.argv[1:], place, None, None, None)
    return _popen(sys.argv[1:], place, subprocess.DEVNULL, errors, None)


def _popen(
    arguments: Sequence[str],
    place: Mapping[str, str],
    output: int | None,
    errors: BinaryIO | None,
    folder: Path | None,
) -> subprocess.Popen[bytes]:
    # In a session of its own: Ctrl-C in a terminal reaches all of its processes, and this one passes it on.
    return subprocess.Popen(
        [sys.executable, "-m", "nas.train", *arguments],
        env=os.environ | dict(place) | {_LAUNCHED: "1"},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        cwd=folder,
        start_new_session=True,
    )


def _await(processes: list[subprocess.Popen[bytes]], interrupt: Interrupt) -> int | None:
    """Wait until all have ended; return the rank of the first that failed, None where none did."""
    first_to_fail: int | None = None
    failed_at_s = math.inf
    is_told = False
    while any(process.poll() is None for process in processes):
        # Of the others of one that has failed, those that train notice it; those that still wait for it do not.
        since_s = time.monotonic() - failed_at_s
        if (interrupt.is_asked or since_s > _TELL_AFTER_S) and not is_told:
            is_told = True
            for process in processes:
                process.send_signal(signal.SIGTERM)

        failed = [rank for rank, process in enumerate(processes) if process.poll() not in (None, 0)]
        if failed and first_to_fail is None:
            # Of those that failed meanwhile, the ones that lost others were not the first.
            causes = [rank for rank in failed if processes[rank].returncode not in _NO_CAUSE]
            first_to_fail, failed_at_s = (causes or failed)[0], time.monotonic()
        if since_s > _GRACE_S:
            return first_to_fail
        time.sleep(_LOOK_EVERY_S)

    failed = [rank for rank, process in enumerate(processes) if process.returncode not in _NO_CAUSE]
    return first_to_fail if first_to_fail in failed or not failed else failed[0]


def _report(processes: list[subprocess.Popen[bytes]], failed: int | None, errors: BinaryIO) -> None:
    """Say which process failed, and why, unless the first one has said it.

    Raises:
        InputError: another one failed.
        SystemExit: the first one failed, and has said why.
    """
    if failed is None:
        return
    status = processes[failed].returncode
    if status < 0:
        name = signal.Signals(-status).name
        raise InputError(f"process {failed} of {len(processes)} was ended by {name}; the same command resumes")
    if processes[0].returncode > 0 and processes[0].returncode not in _NO_CAUSE:
        sys.exit(processes[0].returncode)

    raise InputError(f"process {failed} of {len(processes)}: {_last_words(errors)}")


def _last_words(errors: BinaryIO) -> str:
    """Return the last line that a process wrote to its standard error."""
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines() or ["it does not say why"]
    # What others say of its end is no cause, where there is one.
    causes = [line for line in said if not line.startswith(_LOST)]
    return (causes or said)[-1].removeprefix("error: ").removeprefix(_LOST)


def free_port() -> int:
    """Return a port of this machine's own address that nothing listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def end_for_others(reason: str) -> NoReturn:
    """End this process, as another one of its training has ended.

    The reason is not always that end. Where this module started the processes it says which one failed, and the first
    keeps silent.
    """
    if _LAUNCHED not in os.environ or os.environ.get("RANK") != "0":
        print(f"{_LOST}{reason.splitlines()[0]}", file=sys.stderr)
    sys.exit(STATUS_LOST_OTHERS)


def end_with_launcher() -> None:
    """Tell this process to stop when the one that launched it is gone, which is known from its closed input.

    Nothing happens in a process that was started in another way: torchrun and Slurm see to that themselves.
    """
    if _LAUNCHED not in os.environ:
        return

    def watch() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
