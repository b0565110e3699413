"""Proxies among runs and replays that are there: runs that differ in their seed alone are one proxy."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from foundation import InputError, nearest_hint, short_path
from nas.assessment.trained import ProxyRuns
from nas.options.configuration import differing_options, option_texts
from nas.record.identity import REFERRED_TO, complete_options
from nas.record.journal import read_record
from nas.record.record import Record

PARTS = ("task", "data", "scale", "recipe", "fidelity", "reward")
"""Parts of a configuration that make a proxy what it is."""


def read_proxies(folders: Sequence[Path], target: Sequence[str]) -> tuple[list[ProxyRuns], ProxyRuns | None]:
    """Return the proxies that some runs are of, and the one among them that is the target, if one is asked for.

    Args:
        folders: of the runs.
        target: options on record that only the target's runs have, as `fidelity.epochs=12`; none for no target.

    Raises:
        InputError: a run cannot be read, two have one configuration and one seed, or no runs, or those of several
            proxies, are the target's.
    """
    records = [read_record(folder) for folder in folders]
    options = [_options_of_proxy(record) for record in records]
    names = _names(options)

    proxies: dict[str, dict[int, Record]] = {}
    places: dict[tuple[str, int], Path] = {}
    for folder, record, name in zip(folders, records, names, strict=True):
        seed = _seed(folder, record)
        if (name, seed) in places:
            other = short_path(places[name, seed])
            raise InputError(f"runs: {other} and {short_path(folder)} are the same proxy with the same seed, {seed}")
        places[name, seed] = folder
        proxies.setdefault(name, {})[seed] = record

    found = {name: ProxyRuns(name, by_seed) for name, by_seed in proxies.items()}
    if not target:
        return list(found.values()), None

    name = _name_of_target(dict(zip(names, options, strict=True)), target)
    return [proxy for proxy in found.values() if proxy.name != name], found[name]


def _options_of_proxy(record: Record) -> dict[str, str]:
    """Return the options on record that make the proxy, without those that repeat another part."""
    options = option_texts(complete_options(record.created.config))
    own = {name: text for name, text in options.items() if name.split(".")[0] in PARTS}
    return {name: text for name, text in own.items() if not name.startswith(_REPEATED)}


_REPEATED = tuple(f"task.{part}." for part in REFERRED_TO)


def _names(options: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a name for each run, the same for runs of one proxy: the options in which any of them differ."""
    different = differing_options(options)
    names = [", ".join(f"{name}={own.get(name, '')}" for name in different) for own in options]
    return [name or "proxy" for name in names]


def _seed(folder: Path, record: Record) -> int:
    seed = record.created.config.get("seed")
    if not isinstance(seed, int):
        raise InputError(f"runs: {short_path(folder)} has no seed on record")
    return seed


def _name_of_target(options: Mapping[str, Mapping[str, str]], target: Sequence[str]) -> str:
    wanted = dict(override.partition("=")[::2] for override in target)
    for name in wanted:
        known = sorted({known for own in options.values() for known in own})
        if name not in known:
            raise InputError(f"target: no run has the option {name} on record{nearest_hint(name, known)}")

    fitting = [
        proxy
        for proxy, own in options.items()
        if all(_value(own.get(name, "")) == _value(text) for name, text in wanted.items())
    ]
    if len(fitting) != 1:
        those = ", ".join(wanted)
        values = "; ".join(options)
        raise InputError(f"target: {len(fitting) or 'no'} proxies have these values of {those}; there are {values}")
    return fitting[0]


def _value(text: str) -> object:
    """Return the value of a text, so that 12 and 12.0 are the same."""
    try:
        return json.loads(text)
    except ValueError:
        return text
