"""The files that a command names: what stands in them is a part of what the command does."""

import hashlib
import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path


def command_files(command: str | None) -> Mapping[str, str]:
    """Return the SHA-256 of each readable file of this machine that a command names, by the name.

    A file that the output is sent to is none of them: it is another after each call.
    """
    words = [] if command is None else _words(command)
    written = {word for before, word in pairwise(words) if before.startswith(">")}

    found = {}
    for word in words:
        # An option may have the file behind its name, as --engine=FILE.
        for name in dict.fromkeys((word, word.partition("=")[2])):
            digest = None if name in written else _digest(name)
            if digest is not None:
                found[name] = digest
    return dict(sorted(found.items()))


def _words(command: str) -> list[str]:
    """Return the words of a command, and between them the signs that part them in a shell."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:
        # A quote without its other half, which a shell refuses too.
        return command.split()


def _digest(name: str) -> str | None:
    path = Path(name)
    try:
        if not name or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
