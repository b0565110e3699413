"""A user's mistake as an exception, and text that is safe to print."""


class InputError(ValueError):
    """A user's mistake: a file, a path or an option that cannot be used.

    The message is one line that says what was expected, what was found and where. Command lines print it and exit with
    status 2; it is never a bug of the program.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback, which says nothing of a user's mistake."""
        return [f"{type(self).__name__}: {self}"]


def printable(text: str) -> str:
    """Replace characters that could steer a terminal by spaces: anybody may have written the file with the text."""
    return "".join(c if c.isprintable() else " " for c in text)
