"""What all commands share: Hydra's grammar, one-line errors, help made from the comments in the YAML files."""

import difflib
import re
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from search_space import InputError

EXPERIMENTS = Path(str(files("experiments")))
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

_FLAGS = """\
Flags:
  -h, --help          this text
  --cfg               print the composed configuration and stop
  --config-dir DIR    look for YAML files in DIR too, laid out as the package's experiments/
"""


def run_command(config_name: str, summary: str, action: Callable[[dict[str, Any]], None]) -> NoReturn:
    """Parse the command line, call `action` with the composed configuration, and exit.

    Exit status 0 when all went well, 2 for a user's mistake (one line on standard error), 130 after Ctrl-C.

    Args:
        config_name: name of the YAML file in `experiments/` that holds the command's options.
        summary: first lines of the help.
        action: does the work.
    """
    arguments = sys.argv[1:]
    try:
        if {"-h", "--help"} & set(arguments):
            print(help_text(config_name, summary))
            sys.exit(0)
        config = compose(config_name, [a for a in arguments if a != "--cfg"])
        if "--cfg" in arguments:
            _print_yaml(config)
            sys.exit(0)
        action(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader, as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)


def compose(config_name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the configuration that the overrides give, interpolations resolved.

    Raises:
        InputError: an unknown option or choice, or an override that cannot be parsed.
    """
    # Imported here so that help does not wait for them.
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
    from yaml import YAMLError

    overrides, extra_dirs = _split_flags(arguments)
    if extra_dirs:
        overrides.append(f"hydra.searchpath=[{','.join('file://' + str(path) for path in extra_dirs)}]")
    try:
        with hydra.initialize_config_dir(str(EXPERIMENTS), version_base="1.3"):
            composed = hydra.compose(config_name, [_quoted_if_needed(o) for o in overrides])
            config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: needs a value; --help explains it") from None
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InputError(_explain(error, config_name)) from None
    if not isinstance(config, dict):
        raise TypeError(f"{config_name} is not a mapping")
    return {str(name): value for name, value in config.items()}


def help_text(config_name: str, summary: str) -> str:
    """Return the help of a command: its options and choices, explained by the comments above them in the YAML."""
    lines = [summary.strip(), "", _FLAGS, "Options, as name=value:"]
    groups = _included(config_name)
    for name in [config_name, *(["config"] if ("config", None) in groups else [])]:
        lines += [f"  {option:<34} {comment}" for option, comment in _commented(EXPERIMENTS / f"{name}.yaml")]
    choices = [group for group, _ in groups if (EXPERIMENTS / group).is_dir()]
    if choices:
        lines += ["", "Choices, as group=choice (* is the default) and their options, as group.name=value:"]
    for group, default in groups:
        for path in sorted((EXPERIMENTS / group).glob("*.yaml")):
            mark = "*" if path.stem == default else " "
            lines.append(f" {mark}{group}={path.stem:<{33 - len(group)}} {_head(path)}")
            if group != "experiment":
                lines += [f"      {group}.{o:<{29 - len(group)}} {comment}" for o, comment in _commented(path)]
    return "\n".join(lines)


def _split_flags(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    overrides, extra_dirs = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--config-dir" or argument.startswith("--config-dir="):
            value = argument.partition("=")[2] or next(rest, "")
            if not value or not Path(value).is_dir():
                raise InputError(f"--config-dir needs a folder, got {value or 'nothing'}")
            extra_dirs.append(Path(value).absolute())
        elif argument.startswith("-"):
            raise InputError(f"unknown flag {argument}; --help lists flags and options")
        elif "=" not in argument and not argument.startswith("~"):
            raise InputError(f"options are written name=value, got {argument!r}; --help lists them")
        else:
            overrides.append(argument)
    return overrides, extra_dirs


def _quoted_if_needed(override: str) -> str:
    """Return the override with its value in quotes if Hydra would not read it as one value, as `~/coco` or `a,b`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    name, _, value = override.partition("=")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    for candidate in (override, f'{name}="{escaped}"'):
        try:
            parsed = parser.parse_override(candidate)
        except HydraException:
            continue
        if not parsed.is_sweep_override():
            return candidate
    return override


def _explain(error: Exception, config_name: str) -> str:
    """Return the one line of a Hydra error that helps."""
    text = str(error)
    if found := re.search(r"Could not override '([^']+)'", text):
        option = found[1]
        known = [name for name, _ in _commented(EXPERIMENTS / f"{config_name}.yaml")]
        known += [group for group, _ in _included(config_name)]
        known += [
            f"{group}.{name}"
            for group, _ in _included(config_name)
            for path in (EXPERIMENTS / group).glob("*.yaml")
            for name, _ in _commented(path)
        ]
        if option in {name.split("=")[0] for name in known}:
            return f"option {option} belongs to another choice of {option.split('.')[0]}; --help lists them"
        close = difflib.get_close_matches(option, [name.split("=")[0] for name in known], n=1)
        hint = f"did you mean {close[0]}?" if close else "--help lists them"
        return f"unknown option {option}; {hint}"
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        folder = EXPERIMENTS / found[1]
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        return f"unknown choice {found[1]}={found[2]}; there are {', '.join(names)}"
    return " ".join(text.split())


def _included(config_name: str) -> list[tuple[str, str | None]]:
    """Return the groups in a YAML file's defaults with the chosen names, those of an included `config` too."""
    groups: list[tuple[str, str | None]] = []
    text = (EXPERIMENTS / f"{config_name}.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.strip() == "- config":
            groups += [("config", None), *_included("config")]
        elif found := re.match(r"  - (\w+): (\w+)", line):
            groups.append((found[1], None if found[2] == "null" else found[2]))
    return groups


def _head(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction to Hydra."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line)


def _commented(path: Path) -> list[tuple[str, str]]:
    """Return the options of a YAML file, as name=default, each with the comment above it; nested ones with dots."""
    options: list[tuple[str, str]] = []
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)(\w+):(?: (.*))?$", line)
        if line.strip().startswith("#"):
            comment.append(line.strip()[1:].strip())
        elif found and found[2] not in ("defaults", "_target_"):
            indent = len(found[1])
            parents = [parent for parent in parents if parent[0] < indent]
            if found[3] is None:
                parents.append((indent, found[2]))
            elif comment:
                name = ".".join([*(parent for _, parent in parents), found[2]])
                options.append((f"{name}={found[3]}", " ".join(comment)))
            comment = []
        else:
            comment = []
    return options


def _print_yaml(config: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    print(OmegaConf.to_yaml(OmegaConf.create(config)), end="")
