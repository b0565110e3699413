"""Variants of a command line: its options with some overrides more, each as a list on the command line or in YAML."""

from collections.abc import Sequence
from typing import Any

from foundation import InputError
from nas.options.command_line import compose
from nas.options.invocation import given_arguments
from nas.options.recorded import OptionsOnRecord

_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "\"'"


def override_list(value: str | Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Return the overrides in the value of an option, as `[fidelity.epochs=12,scale=tiny]`; null and `[]` are none.

    On a command line the value is one text, as Hydra's lists hold no equals signs.

    Args:
        value: text, or a list as YAML has it.
        where: name of the option, for messages.

    Raises:
        InputError: one of them is no override.
    """
    if value is None:
        return ()
    overrides = _split(value.strip()) if isinstance(value, str) else list(value)

    for override in overrides:
        name, equals, _ = override.partition("=")
        if not equals or not name.strip() or name.startswith("-"):
            raise InputError(
                f"{where}: needs overrides as [fidelity.epochs=12,scale=tiny], or null for none; got {override!r}"
            )
    return tuple(overrides)


def _split(text: str) -> list[str]:
    """Return the parts of a list in text, or the text itself where it is none; commas in brackets or quotes stay."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    parts, depth, quote = [""], 0, ""
    for character in inner:
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        else:
            depth += (character in _OPENING) - (character in _CLOSING)

        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def compose_variant(
    config_name: str, overrides: Sequence[str], on_record: OptionsOnRecord | None, where: str
) -> dict[str, Any]:
    """Return the configuration of this command line with some overrides behind its own, interpolations resolved.

    Args:
        config_name: YAML file of the command.
        overrides: those of the variant.
        on_record: as the command has it.
        where: the option that has the overrides, for messages.

    Raises:
        InputError: as `compose`; the message begins with the option.
    """
    try:
        return compose(config_name, [*given_arguments(), *overrides], on_record)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
