"""A command of a person's own that times a file: a line for the shell that prints milliseconds."""

import math
import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from foundation import InputError, printable
from proxy_tasks.latency_options import FILE

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ANSWER = re.compile(rf"\s*({_NUMBER})\s*(?:ms)?\s*")
_FILE_VARIABLE = "FILE"
"""The path for lines that need it inside quotes, where the quotes around `{file}` would end them."""
_NUM_SHOWN = 200
"""Characters of an answer, or of an error, that a message shows."""
_NUM_READ = 100_000
"""Bytes of the output that are looked at."""


def command_ms(command: str, file: Path, timeout_s: float, inherited: tuple[int, ...] = ()) -> float:
    """Run a command on a file, and return the milliseconds that it prints.

    Args:
        command: line for the shell; `{file}` in it becomes the path, quoted, and `$FILE` is the path too.
        file: the path.
        timeout_s: after this time the command is ended, with all processes that it started on this machine.
        inherited: descriptors that stay open in the command.

    Raises:
        InputError: it fails, hangs, or prints something else than one number.
    """
    line = command.replace(FILE, shlex.quote(str(file)))

    # Files, not pipes: a process that the command leaves behind may hold a pipe open for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _run(line, {**os.environ, _FILE_VARIABLE: str(file)}, out, err, timeout_s, inherited)
        if status is None:
            raise _error(command, f"was still running after {timeout_s:g} s, and was ended")
        if status:
            ended = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
            raise _error(command, f"{ended}: {_last_line(err) or _last_line(out) or 'it printed nothing'}")
        return _milliseconds(command, _text(out))


def _run(
    line: str,
    environment: Mapping[str, str],
    out: IO[bytes],
    err: IO[bytes],
    timeout_s: float,
    inherited: tuple[int, ...],
) -> int | None:
    """Run a line in a session of its own; return its status, None where it took too long."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=environment,
        start_new_session=True,
        pass_fds=inherited,
    )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Ended by Ctrl-C too. A shell that has ended may have given its number to another process.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _milliseconds(command: str, text: str) -> float:
    answer = _ANSWER.fullmatch(text)
    if answer is None:
        num_numbers = len(re.findall(_NUMBER, text))
        shown = repr(" ".join(text.split())[:_NUM_SHOWN])
        what = "no number" if not num_numbers else "more than one number" if num_numbers > 1 else "more than a number"
        raise _error(command, f"has to print milliseconds, one number and nothing else; it printed {what}: {shown}")

    value = float(answer[1])
    if not (0 < value < math.inf):
        raise _error(command, f"has to print milliseconds above 0, it printed {answer[1]}")
    return value


def _last_line(file: IO[bytes]) -> str:
    return printable(next(iter(_text(file).strip().splitlines()[-1:]), ""))[:_NUM_SHOWN]


def _text(file: IO[bytes]) -> str:
    """Return what was written to a file, of very much its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _NUM_READ))
    return file.read().decode(errors="replace")


def _error(command: str, what: str) -> InputError:
    return InputError(f"latency.command {what} (the command is {printable(command)})")
