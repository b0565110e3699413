"""The ground that every room stands on: a user's mistake, paths, files written whole, checks and their messages."""

from foundation.errors import InputError, printable
from foundation.file_lock import file_lock
from foundation.files import check_writable, make_folder, open_folder, opener_in, sync_folder, write_whole
from foundation.lazy import lazy_class
from foundation.paths import absolute_path, current_folder, short_path
from foundation.ranges import check_range, check_seed
from foundation.suggestion import nearest, nearest_hint
from foundation.validation import first_error

__all__ = [
    "InputError",
    "absolute_path",
    "check_range",
    "check_seed",
    "check_writable",
    "current_folder",
    "file_lock",
    "first_error",
    "lazy_class",
    "make_folder",
    "nearest",
    "nearest_hint",
    "open_folder",
    "opener_in",
    "printable",
    "short_path",
    "sync_folder",
    "write_whole",
]
