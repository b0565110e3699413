"""The problem that a run solves: the options, and the parts of its data, in which several runs differ."""

from collections.abc import Mapping, Sequence

from nas.options.configuration import differing_options, option_texts
from nas.record.identity import concern_of, present_options, without_unused
from nas.record.record import Record
from proxy_tasks.coco.folder import MACHINE, PLACES

_DATA_PLACES = tuple(f"data.{name}" for name in PLACES)
"""Options that say where a data set lies and nothing of what it holds."""


def problem_differences(
    options: Sequence[Mapping[str, str]], contents: Sequence[Mapping[str, str] | None]
) -> list[str]:
    """Return the options, and the parts of their data, that runs should share to be compared, and do not.

    Args:
        options: all options of each run as text, by their whole names of today.
        contents: the content of each run's data as on record; None where it is not.
    """
    different = differing_options(options)
    used = without_unused({name for own in options for name in own})
    names = [name for name in different if name in used and concern_of(name) == "problem"]
    names = [name for name in names if name.removeprefix("task.") not in MACHINE]

    # Where the content of the data is on record, that decides, and not where it lies.
    known = [content for content in contents if content is not None]
    if len(known) == len(contents):
        names = [name for name in names if name.removeprefix("task.") not in _DATA_PLACES]
    return [*names, *_differing_parts(known)]


def have_one_problem(records: Sequence[Record]) -> bool:
    """Return whether runs differ in nothing that they should share to be compared."""
    options = [option_texts(present_options(record.created.config)) for record in records]
    return not problem_differences(options, [record.created.data for record in records])


def _differing_parts(contents: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the parts of their data in which runs differ; one may use fewer parts than another."""
    hashes: dict[str, set[str]] = {}
    for content in contents:
        for part, value in content.items():
            hashes.setdefault(part, set()).add(value)
    return [part for part, values in hashes.items() if len(values) > 1]
