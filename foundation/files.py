"""Files that appear whole or not at all."""

from pathlib import Path

from foundation.errors import InputError
from foundation.paths import short_path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder if need be; whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise InputError(f"cannot write {short_path(path)}: {error.strerror}") from None
