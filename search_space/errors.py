"""What is raised when something that a person wrote or passed in is wrong."""


class InputError(ValueError):
    """A user's mistake: a file, a path or an option that cannot be used.

    The message is one line that says what was expected, what came and where. Command lines print it and exit with
    status 2; it is never a bug of the program.
    """
