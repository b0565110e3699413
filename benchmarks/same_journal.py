"""python -m benchmarks.same_journal OLD NEW: whether two runs proposed, trained and found the same, bit for bit.

Run one search twice, as before and after a change, with executor=local and the same number of threads; then compare
their folders. Left out are times, which are never the same twice, and tracebacks, which name files and lines. The first
line is compared option by option: options may be added without changing what is searched.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.options.configuration import options_of

_TIMES = ("time", "seconds")


def main(old: Path, new: Path) -> int:
    """Print what differs; return 1 if an event does, else 0."""
    old_lines, new_lines = _lines(old), _lines(new)
    first_old, first_new = next(old_lines), next(new_lines)
    for line in _differences(first_old, first_new):
        print(f"first line: {line}")

    # The first event that differs is the cause of those after it.
    old_events, new_events = list(old_lines), list(new_lines)
    if len(old_events) != len(new_events):
        print(f"{len(old_events)} events and {len(new_events)} events")
        return 1
    for number, (was, now) in enumerate(zip(old_events, new_events, strict=True), start=2):
        if was != now:
            print(f"line {number} differs:\n  {json.dumps(was)}\n  {json.dumps(now)}")
            return 1

    print(f"the same {len(old_events)} events")
    return 0


def _lines(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a run's journal as they are written, without their times."""
    for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        event.get("failure", {}).pop("traceback", None)
        yield {name: value for name, value in event.items() if name not in _TIMES}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    old_options, new_options = dict(options_of(old)), dict(options_of(new))
    for name in sorted({*old_options, *new_options} - {"config.run"}):
        was, now = old_options.get(name), new_options.get(name)
        if was != now:
            yield f"{name}: {json.dumps(was):.60} -> {json.dumps(now):.60}"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchmarks.same_journal OLD_RUN NEW_RUN")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
