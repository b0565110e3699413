"""The command line that all commands share: Hydra's grammar, flags, and mistakes in one line."""

import re
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from foundation import InputError, current_folder, nearest_hint, short_path
from nas.options.block_kinds import BUILT_BY, RECORDED_BY, join_block_kinds
from nas.options.command_help import group_help, help_text
from nas.options.experiments import command_choices, other_command
from nas.options.flags import SHORT_FOR, check_flags
from nas.options.help_layout import terminal_width
from nas.options.invocation import own_command
from nas.options.listed import EXPERIMENTS, all_options, included_groups, open_mappings, option_names
from nas.options.output import Output
from nas.options.overrides import parsed
from nas.options.recorded import OptionsOnRecord, taken_from_record
from nas.options.stop_signals import stop_signals_as_interrupts
from nas.options.sweep import SWEEP_FLAGS, Combination, combinations_of, is_sweep, several_values
from nas.options.text_values import quoted, text_as_written
from nas.own_packages import DISTRIBUTION

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_READER_GONE = 128 + signal.SIGPIPE
"""The status that a shell gives to a program that SIGPIPE ended."""
_NO_OTHERS: Mapping[str, Callable[[dict[str, Any]], None]] = {}


def run_command(
    config_name: str,
    summary: str,
    action: Callable[[dict[str, Any]], None],
    on_record: OptionsOnRecord | None = None,
    *,
    needs_output: bool = True,
    words: str = "",
    other_actions: Mapping[str, Callable[[dict[str, Any]], None]] = _NO_OTHERS,
    sweep: Callable[[Sequence[Combination]], None] | None = None,
) -> NoReturn:
    """Parse the command line, call `action` with the composed configuration, and exit; see `exit_after`.

    Args:
        config_name: name of the YAML file in `experiments/` that holds the command's options.
        summary: first lines of the help.
        action: does the work.
        on_record: for a command that takes the options of the run that `run=` names, where it is not told otherwise.
        needs_output: see `exit_after`.
        words: the option that takes words without `=`, as a shell makes them of `runs/*`; empty where none does.
        other_actions: what is done in place of the work where a flag asks for it, by the flag.
        sweep: for a command that takes `-m`, does the work for each combination of the values that options have.
    """

    def work() -> None:
        arguments = _with_words(sys.argv[1:], words) if words else sys.argv[1:]
        asked = [flag for flag in other_actions if flag in arguments]
        chosen = other_actions[asked[0]] if asked else action
        left = [word for word in arguments if word not in asked]
        if asked and is_sweep(left):
            raise InputError(f"{asked[0]} is about one search; leave out -m")
        _answer(config_name, summary, chosen, left, on_record, sweep)

    exit_after(work, needs_output=needs_output)


def exit_after(work: Callable[[], None], *, needs_output: bool = True) -> NoReturn:
    """Do the work of a command and exit.

    Exit status 0 when all went well, 2 for a user's mistake (one line on standard error), 130 after Ctrl-C, SIGTERM or
    SIGHUP. A command that needs its output has failed where that cannot be written: 2, with one line, and 141 without a
    word where the reader, as `head`, has seen enough, as other tools.

    Args:
        work: the work.
        needs_output: whether the command is there for its standard output. One that does long work is not: what it
            prints may be lost, and it goes on.
    """
    output = Output(is_needed=needs_output)
    status = 0
    try:
        with stop_signals_as_interrupts():
            work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = EXIT_USER_ERROR
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED

    loss = output.loss()
    if status == 0 and needs_output and loss is not None:
        if isinstance(loss, BrokenPipeError):
            sys.exit(EXIT_READER_GONE)
        print(f"error: cannot write standard output: {loss.strerror}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    sys.exit(status)


def version_text() -> str:
    """Return name and version of this package, as `spinenet-search 0.1.0`."""
    try:
        return f"{DISTRIBUTION} {version(DISTRIBUTION)}"
    except PackageNotFoundError:
        return f"{DISTRIBUTION}, used from a folder without being installed"


def command_config(
    config_name: str, arguments: Sequence[str], on_record: OptionsOnRecord | None = None
) -> dict[str, Any]:
    """Return the configuration that a command's work takes, once specs may name the user's own kinds of blocks.

    Raises:
        InputError: as `compose` and `join_block_kinds`.
    """
    config = compose(config_name, arguments, on_record)
    join_block_kinds(config.get("block_kinds"), checks_units=config_name in BUILT_BY)
    if config_name not in RECORDED_BY:
        # Such a command reads specs, but has no use for the option once the kinds are known.
        config.pop("block_kinds", None)
    return config


def compose(config_name: str, arguments: Sequence[str], on_record: OptionsOnRecord | None = None) -> dict[str, Any]:
    """Return the configuration that the overrides give, interpolations resolved.

    Raises:
        InputError: an unknown option or choice, an override that cannot be parsed, no folder to start from, or an
            option on record that must be given again.
    """
    # Imported here so that help does not wait for them.
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
    from yaml import YAMLError

    # Hydra asks for this folder, relative paths start from it, and workers are sent to it.
    current_folder()
    given, extra_dirs = split_flags(arguments)
    check_flags(arguments, config_name)

    # Hydra looks for choices in further folders where an option of its own names them.
    groups = {group for group, _ in included_groups(config_name)}
    overrides = [_quoted_if_needed(override, groups) for override in _opened(given, config_name, extra_dirs)]
    _check_experiment(overrides, config_name, extra_dirs)
    if on_record is not None:
        overrides = [*taken_from_record(overrides, config_name, extra_dirs, on_record, _value_of), *overrides]
    if extra_dirs:
        folders = ",".join(quoted(f"file://{path}") for path in extra_dirs)
        overrides.append(f"hydra.searchpath=[{folders}]")

    try:
        with hydra.initialize_config_dir(str(EXPERIMENTS), version_base="1.3"):
            config = _composed(config_name, overrides)

            # Once it is known which classes have the options, it is known which options are text.
            listed = all_options(config_name, extra_dirs)
            as_written = text_as_written(overrides, config_name, config, listed, _value_of)
            return config if as_written == overrides else _composed(config_name, as_written)
    except MissingMandatoryValue as error:
        # An OmegaConf error too, so it comes first: a `???` in the YAML was not filled in.
        raise InputError(f"{error.full_key}: needs a value; --help explains it") from None
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InputError(_explain(error, config_name, extra_dirs)) from None


def _check_experiment(overrides: Sequence[str], config_name: str, extra_dirs: Sequence[Path]) -> None:
    """Check that an experiment which is named is not one of another command.

    Raises:
        InputError: it is; the message has the right command.
    """
    dirs = "".join(f" --config-dir {shlex.quote(short_path(path))}" for path in extra_dirs)
    for override in overrides:
        if not override.startswith("experiment="):
            continue
        value = _value_of(override)
        for choice in value if isinstance(value, list) else [value]:
            other = other_command(str(choice), config_name, extra_dirs)
            if other is not None:
                raise InputError(f"{override} is for nas.{other}: {own_command(other)}{dirs} {override}")


def _composed(config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    import hydra
    from omegaconf import OmegaConf

    composed = hydra.compose(config_name, list(overrides))
    config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    if not isinstance(config, dict):
        raise TypeError(f"{config_name} is not a mapping")
    return {str(name): value for name, value in config.items()}


def _answer(
    config_name: str,
    summary: str,
    action: Callable[[dict[str, Any]], None],
    arguments: list[str],
    on_record: OptionsOnRecord | None,
    sweep: Callable[[Sequence[Combination]], None] | None,
) -> None:
    """Print the help, the version or the configuration if the arguments ask for it; do the work if not."""
    asked = [number for number, argument in enumerate(arguments) if argument in ("-h", "--help")]
    if asked:
        _print_help(config_name, summary, arguments[: asked[0]], arguments[asked[0] + 1 :])
        return

    if "--version" in arguments:
        print(version_text())
        return

    if is_sweep(arguments):
        _sweep(config_name, arguments, sweep)
        return

    if "--cfg" in arguments:
        _print_yaml(compose(config_name, [a for a in arguments if a != "--cfg"], on_record))
        return

    try:
        action(command_config(config_name, arguments, on_record))
    except InputError as error:
        refused = [one for one in several_values(arguments) if one.partition("=")[2] in str(error)]
        if sweep is None or not refused:
            raise
        raise InputError(f"{error}; with -m there is a search for each value of {refused[0]}") from None


def _sweep(config_name: str, arguments: Sequence[str], sweep: Callable[[Sequence[Combination]], None] | None) -> None:
    """Do the work for each combination of the values that options have."""
    if sweep is None:
        command = own_command("search")
        raise InputError(f"-m is for nas.search, which runs a search for each value: {command} -m seed=1,2,3")
    if "--cfg" in arguments:
        raise InputError("--cfg is about one search; leave out -m")

    of_each = [word for word in arguments if word not in SWEEP_FLAGS]
    _, extra_dirs = split_flags(of_each)
    sweep(combinations_of(of_each, config_name, extra_dirs))


def _print_help(config_name: str, summary: str, before: Sequence[str], behind: Sequence[str]) -> None:
    """Print the whole help, or its parts on the groups that are named right behind the flag."""
    groups = list(takewhile(lambda word: "=" not in word and not word.startswith(("-", "~")), behind))
    others = [*before, *behind[len(groups) :]]
    _, extra_dirs = split_flags(
        [word for word in others if word not in ("-h", "--help", "--cfg", "--version", *SWEEP_FLAGS)]
    )

    width = terminal_width()
    if groups:
        print("\n\n".join(group_help(config_name, group, extra_dirs, width) for group in groups))
    else:
        print(help_text(config_name, summary, extra_dirs, width))


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the overrides, those that flags stand for included, and the folders of `--config-dir`."""
    overrides, extra_dirs = [], []

    # An iterator: `--config-dir` takes the argument after it too.
    rest = iter(arguments)
    for argument in rest:
        if argument == "--config-dir":
            extra_dirs.append(_existing_dir(next(rest, "")))
        elif argument.startswith("--config-dir="):
            extra_dirs.append(_existing_dir(argument.partition("=")[2]))
        elif argument in SHORT_FOR:
            overrides.append(SHORT_FOR[argument])

        elif argument.startswith("-"):
            raise InputError(f"unknown flag {argument}; --help lists flags and options")
        elif "=" not in argument and not argument.startswith("~"):
            raise InputError(f"options are written name=value, got {argument!r}; --help lists them")
        else:
            overrides.append(argument)
    return overrides, extra_dirs


def _with_words(arguments: Sequence[str], option: str) -> list[str]:
    """Return the arguments, all words that are neither flags nor `name=value` as one list that an option has.

    A word may have a `=` behind a `/`, which no option has in its name.

    Raises:
        InputError: the option is given by its name too.
    """
    words, others = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--config-dir":
            others += [argument, next(rest, "")]
        elif argument in ("-h", "--help"):
            # Words behind it are groups of options.
            others += [argument, *rest]
        elif argument.startswith(("-", "~")) or ("=" in argument and "/" not in argument.partition("=")[0]):
            others.append(argument)
        else:
            words.append(argument)
    if not words:
        return others
    if any(argument.startswith(f"{option}=") for argument in others):
        raise InputError(f"{option}: is given as {words[0]} and as {option}=; leave out one of them")
    return [f"{option}=[{','.join(quoted(word) for word in words)}]", *others]


def _existing_dir(path: str) -> Path:
    if not path or not Path(path).is_dir():
        raise InputError(f"--config-dir needs a folder, got {path or 'nothing'}")
    return current_folder() / path


def _opened(overrides: Sequence[str], config_name: str, extra_dirs: Sequence[Path]) -> list[str]:
    """Return the overrides, with `++` before names that the YAML does not list but an open mapping takes.

    Hydra adds no name to a configuration without it; nor does it add those in `limits={energy_j:3}`.
    """
    listed = set(option_names(config_name, extra_dirs))
    mappings = open_mappings(config_name, extra_dirs)
    prefixes = tuple(f"{name}." for name in mappings)

    opened = []
    for override in overrides:
        name = override.partition("=")[0]
        is_added = name.startswith(prefixes) and name not in listed
        is_whole = name in mappings and isinstance(_value_of(override), dict)
        opened.append(f"++{override}" if is_added or is_whole else override)
    return opened


def _quoted_if_needed(override: str, groups: Collection[str]) -> str:
    """Return the override with its value in quotes if Hydra would not read it as one value, as `~/coco` or `a,b`.

    The choice of a group is a name, as in `scale=49`, where it should have been `scale=spinenet-49`.
    """
    name, _, value = override.partition("=")
    if name in groups and isinstance(_value_of(override), int | float):
        return f"{name}={quoted(value)}"

    for candidate in (override, f"{name}={quoted(value)}"):
        read = parsed(candidate)
        if read is not None and not read.is_sweep_override():
            return candidate
    return override


def _value_of(override: str) -> Any:  # noqa: ANN401  # any value that Hydra's grammar knows
    """Return the value that Hydra reads in an override; None where it reads none, or several."""
    read = parsed(override)
    return None if read is None or read.is_delete() or read.is_sweep_override() else read.value()


def _explain(error: Exception, config_name: str, extra_dirs: Sequence[Path]) -> str:
    """Return the one line of a Hydra error that helps."""
    # Hydra's errors have no codes: these sentences are all that tells them apart.
    text = str(error)
    unknown_option = re.search(r"Could not override '([^']+)'", text)
    unknown_choice = re.search(r"Could not find '([^']+)/([^'/]+)'", text)

    if unknown_option:
        option = unknown_option[1]
        known = option_names(config_name, extra_dirs)
        if option in known:
            group = option.split(".")[0]
            return f"option {option} belongs to another choice of {group}; --help {group} lists them"
        return f"unknown option {option}{nearest_hint(option, known) or '; --help lists them'}"

    if unknown_choice:
        group, choice = unknown_choice.groups()
        names = [path.stem for path in command_choices(config_name, group, extra_dirs)]
        return f"unknown choice {group}={choice}; there are {', '.join(names)}{nearest_hint(choice, names)}"

    if "Config group override must be a string" in text:
        return "a choice, as scale=tiny, needs a name; leave it out for the default"
    return " ".join(text.split())


def _print_yaml(config: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    print(OmegaConf.to_yaml(OmegaConf.create(config)), end="")
