"""Failed checks of pydantic, each as one line for a person."""

from pydantic import ValidationError

_SAYS_WHAT_CAME = ("value_error", "json_invalid", "missing")
"""Kinds of errors whose message needs no word about the input."""


def first_error(error: ValidationError) -> str:
    """Return the first thing wrong as one line that begins with the value's name, as `spec.blocks[3].parents: ...`."""
    problem = error.errors(include_url=False)[0]

    # As in Python, so that a name can be found in the file: `spec.blocks[3].parents`.
    name = ""
    for part in problem["loc"]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    name = name.removeprefix(".")

    # pydantic speaks to programmers: a JSON file has no tuples, and a check of ours needs no prefix.
    message = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list, as [a,b]")
    if problem["type"] not in _SAYS_WHAT_CAME:
        message += f", got {problem['input']!r:.80}"
    if error.error_count() > 1:
        message += f" (and {error.error_count() - 1} more)"

    return f"{name}: {message}" if name else message
