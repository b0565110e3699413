"""The nearest of the names that there are, offered to a person who typed another one."""

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like a name, or else the first that contains it; None where none is near."""
    close = get_close_matches(name, known, n=1)
    containing = [one for one in known if name in one]
    return next(iter([*close, *containing]), None)


def nearest_hint(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name, as `; did you mean quickstart?`; empty where none is near."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else ""
