"""What pydantic found wrong, as one line for a person."""

from pydantic import ValidationError


def first_error(error: ValidationError) -> str:
    """Return the first thing wrong as one line that starts with its place, as `spec.blocks[3].parents: ...`."""
    problem = error.errors(include_url=False)[0]
    place = ""
    for part in problem["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list, as [a,b]")
    if problem["type"] not in ("value_error", "json_invalid", "missing"):
        message += f", got {problem['input']!r:.80}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place.removeprefix('.')}: {message}{more}" if place else f"{message}{more}"
