"""Standard output and error of a command: what cannot be written there is lost, and ends nothing."""

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def print_warning(line: str) -> None:
    """Print a line on what is left out, on standard error; the command goes on."""
    print(f"warning: {line}", file=sys.stderr)


def print_aside(line: str) -> None:
    """Print a line beside the results of a command, on standard error, which no program reads for them."""
    print(line, file=sys.stderr)


class Output:
    """Replaces this process's standard output and error by streams that take everything.

    A search may outlive the terminal, the disk and the program that its lines go to, and so may a library that prints.

    Args:
        is_needed: whether the command is there for its output. Where it is not, a loss is told on standard error.
    """

    def __init__(self, *, is_needed: bool) -> None:
        _fill_closed_descriptors()
        self._loss: OSError | None = None
        sys.stderr = errors = _lossy(sys.stderr, 2, lambda error: None)

        def note(error: OSError) -> None:
            self._loss = error
            if not is_needed:
                errors.write(f"standard output cannot be written ({error.strerror}); what is lost there ends nothing\n")
                errors.flush()

        sys.stdout = _lossy(sys.stdout, 1, note)

    def loss(self) -> OSError | None:
        """Write what is left, and return the first error of standard output; None where nothing was lost."""
        sys.stdout.flush()
        return self._loss


@contextmanager
def output_may_be_lost() -> Iterator[None]:
    """Have what is printed meanwhile be lost where it cannot be written, as by a command that does long work.

    A stream that somebody has put in the place of this process's own, as the kernel of a notebook does, stays.
    """
    if sys.stdout is not sys.__stdout__:
        yield
        return

    streams = sys.stdout, sys.stderr
    output = Output(is_needed=False)
    try:
        yield
    finally:
        output.loss()
        sys.stdout, sys.stderr = streams


class _LossyFile(io.RawIOBase):
    """A descriptor to write to, of which only the first error is noted."""

    def __init__(self, descriptor: int, on_first_loss: Callable[[OSError], None]) -> None:
        self._descriptor = descriptor
        self._on_first_loss: Callable[[OSError], None] | None = on_first_loss

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: "ReadableBuffer") -> int:
        """Write everything, or lose what cannot be written; a disk that was full is tried again the next time."""
        left = memoryview(content)
        try:
            while left:
                left = left[self._write_some(left) :]
        except OSError as error:
            on_first_loss, self._on_first_loss = self._on_first_loss, None
            if on_first_loss is not None:
                on_first_loss(error)
        return len(memoryview(content))

    def _write_some(self, content: memoryview) -> int:
        try:
            return os.write(self._descriptor, content)
        except BlockingIOError:
            # Another program on the same terminal has set it so: it takes more in a moment.
            select.select([], [self._descriptor], [])
            return 0


def _lossy(stream: TextIO | None, number: int, on_first_loss: Callable[[OSError], None]) -> TextIO:
    """Return a stream that takes everything, in place of one; a stream in memory, as tests have it, stays.

    Args:
        stream: None where the process was started without it.
        number: descriptor of the stream.
        on_first_loss: called once, with the first error.
    """
    encoding, write_through = None, False
    if stream is not None:
        try:
            number = stream.fileno()
        except (AttributeError, OSError):
            return stream
        with suppress(OSError):
            stream.flush()
        encoding, write_through = stream.encoding, getattr(stream, "write_through", False)

    file = _LossyFile(number, on_first_loss)
    binary = cast("BinaryIO", file if write_through else io.BufferedWriter(file))
    return io.TextIOWrapper(
        binary,
        encoding,
        # A character that the terminal does not know must not end a search either.
        errors="backslashreplace",
        line_buffering=stream is None or getattr(stream, "line_buffering", False),
        write_through=write_through,
    )


def _fill_closed_descriptors() -> None:
    """Open the standard descriptors that are closed, for nothing: the next file, as the journal, would get one.

    What libraries print would then go into that file. Opened for reading, they refuse what is written, as before.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
