"""The choices of a run as arguments for another command, which may not take them from the record itself."""

from collections.abc import Mapping
from typing import Any

from nas.options.command_line import split_flags
from nas.options.invocation import given_arguments
from nas.options.recorded import recorded_overrides


def arguments_for(config_name: str, group: str, recorded: Mapping[str, Any]) -> list[str]:
    """Return the arguments by which another command makes the same choice in a group as a run has on record.

    What this command line says of it is repeated as it stands, and so are the folders that it may be found in.

    Args:
        config_name: YAML file of the other command.
        group: as `reward`.
        recorded: the options on record by their whole names, as they are called today.

    Raises:
        InputError: the choice cannot be made by name, as where an experiment names a class that no choice has.
    """
    given, extra_dirs = split_flags(given_arguments())
    repeated = [argument for argument in given if _group_of(argument) == group]
    names = [argument.partition("=")[0].lstrip("+") for argument in repeated]

    of_group = {name: value for name, value in recorded.items() if _group_of(name) == group}
    taken = recorded_overrides(of_group, config_name, names, extra_dirs)
    # A group of which several may be chosen, or none, has a choice for none on record.
    taken = [argument for argument in taken if _group_of(argument) == group]
    return [*(f"--config-dir={folder}" for folder in extra_dirs), *taken, *repeated]


def _group_of(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+").split(".")[0]
