"""The problem that a run solves: the options, and the parts of its data, in which several runs differ."""

from collections.abc import Collection, Mapping, Sequence

from nas.options.configuration import differing_options, option_texts
from nas.record.identity import ADDED_SINCE, concern_of, present_options, without_unused
from nas.record.record import Record
from proxy_tasks.coco.folder import MACHINE


def problem_differences(
    options: Sequence[Mapping[str, str]], contents: Sequence[Mapping[str, str] | None], places: Collection[str]
) -> list[str]:
    """Return the options, and the parts of their data, that runs should share to be compared, and do not.

    Args:
        options: all options of each run as text, by their whole names of today.
        contents: the content of each run's data as on record; None where it is not.
        places: options, without the task's name, that say where data lies and nothing of what it holds.
    """
    options = _completed(options)
    different = differing_options(options)
    used = without_unused({name for own in options for name in own})
    names = [name for name in different if name in used and concern_of(name) == "problem"]
    names = [name for name in names if name.removeprefix("task.") not in MACHINE]

    # Where the content of the data is on record, that decides, and not where it lies.
    known = [content for content in contents if content is not None]
    if len(known) == len(contents):
        names = [name for name in names if name.removeprefix("task.") not in places]
    return [*names, *_differing_parts(known)]


def _completed(options: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the options of each run, with what is younger than it and another run has."""
    added = option_texts(ADDED_SINCE)
    names = {name for own in options for name in own}
    # The task repeats the parts that it is made of.
    younger = {name: added[name.removeprefix("task.")] for name in names if name.removeprefix("task.") in added}
    return [{**younger, **own} for own in options]


def have_one_problem(records: Sequence[Record]) -> bool:
    """Return whether runs differ in nothing that they should share to be compared."""
    options = [option_texts(present_options(record.created.config)) for record in records]
    return not problem_differences(options, [record.created.data for record in records], places_of(records))


def places_of(records: Sequence[Record]) -> set[str]:
    """Return the options that, as any of the records says, tell where its data lies."""
    return {place for record in records for place in record.created.data_places or ()}


def _differing_parts(contents: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the parts of their data in which runs differ; one may use fewer parts than another."""
    hashes: dict[str, set[str]] = {}
    for content in contents:
        for part, value in content.items():
            hashes.setdefault(part, set()).add(value)
    return [part for part, values in hashes.items() if len(values) > 1]
