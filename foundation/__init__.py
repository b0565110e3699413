"""The ground of the whole house: errors of users, paths, files written whole, messages of failed checks."""

from foundation.errors import InputError, printable
from foundation.files import write_whole
from foundation.paths import absolute_path, short_path
from foundation.validation import first_error

__all__ = ["InputError", "absolute_path", "first_error", "printable", "short_path", "write_whole"]
