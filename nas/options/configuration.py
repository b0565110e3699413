"""A composed configuration as flat options: every value under its whole name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def options_of(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option with its value, as JSON has it; nested names with dots."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from options_of(value, f"{prefix}{name}.")
        else:
            # A tuple is a list in JSON.
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value


def option_texts(config: Mapping[str, Any]) -> dict[str, str]:
    """Return every option with its value as text; the space, which controllers hold too, once."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in options_of(config)
        if not name.startswith("controller.space.")
    }


def differing_options(options: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the options in which some of the configurations differ, with the value of each; empty text for none."""
    names = dict.fromkeys(name for flat in options for name in flat)
    values = {name: [flat.get(name, "") for flat in options] for name in names}
    return {name: texts for name, texts in values.items() if len(set(texts)) > 1}
