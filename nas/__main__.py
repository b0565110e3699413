"""The command spinenet-search, and python -m nas: list the commands, or run one of them."""

import runpy
import sys
from contextlib import suppress
from typing import NoReturn

from foundation import InputError, current_folder, nearest_hint
from nas.options.command_line import exit_after, version_text
from nas.options.commands import COMMANDS
from nas.options.help_layout import explained, filled, terminal_width

HELP = """\
spinenet-search COMMAND [name=value ...], which is python -m nas.COMMAND [name=value ...]

As a script it looks for modules in the current folder last, so that packages of the same names there hide none of ours.

Commands, each with its own --help:
"""
_PURPOSE_COLUMN = 18


def main() -> NoReturn:
    """Do what the command line asks for, and exit; see `exit_after` for the exit status."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in _names():
        _run(name, arguments)
    exit_after(lambda: _answer(name))


def _answer(name: str) -> None:
    """Print the help or the version.

    Raises:
        InputError: neither was asked for.
    """
    if name in ("-h", "--help"):
        width = terminal_width()
        print("\n".join(filled(HELP, width)))
        for command in COMMANDS:
            print("\n".join(explained(f"  {command.name}", command.purpose, width, _PURPOSE_COLUMN)))
    elif name == "--version":
        print(version_text())
    else:
        raise InputError(f"unknown command {name}; there are {', '.join(_names())}{nearest_hint(name, _names())}")


def _names() -> list[str]:
    return [command.name for command in COMMANDS]


def _run(name: str, arguments: list[str]) -> NoReturn:
    """Run a command as `python -m` does, processes that it starts included, and exit."""
    # A task or a block kind of somebody's own may lie in this folder; last, so that it hides nothing of ours.
    # Where the folder has been deleted, the command says so if it needs one.
    with suppress(InputError):
        sys.path.append(str(current_folder()))

    sys.argv[1:] = arguments
    runpy.run_module(f"nas.{name}", run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
