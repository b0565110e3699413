"""Measure how long a journal of 100,000 trials takes to open, how fast it grows, and how much memory it fills.

python -m benchmarks.journal [number of trials]

Each trial has a spec of the SpineNet space, seventeen metrics and a loss curve, as the detection task's trials have.
Two figures depend on the disk below the current folder: events a second with fsync after each, and the same without
Python around it. Opening is timed three times, each in a process of its own, from files that are in the page cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.record.events import Asked, Told
from nas.record.journal import FILE_NAME, Journal
from search_space import ScalePermutedSpace, resnet_seed

NUM_SAMPLES = 2000
"""Trials that are made; a longer journal repeats them under other numbers and keys."""
NUM_SYNCED = 2000
"""Lines that are written with fsync after each."""
NUM_OPENINGS = 3
OPEN = """
import resource, sys, time
from pathlib import Path
from nas.record.journal import Journal
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
with Journal(Path(sys.argv[1]), {}) as journal:
    seconds = time.perf_counter() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{len(journal.record.told)} trials opened in {seconds:.2f} s, {memory:.0f} MB")
"""


def sample_trials() -> list[tuple[Asked, Told]]:
    """Return both events of some trials, all numbered 0."""
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    rng = np.random.default_rng(0)

    trials = []
    for _ in range(NUM_SAMPLES):
        decisions = space.sample(rng)
        spec = space.decode(decisions).spec
        asked = Asked(trial=0, decisions=decisions, key=spec.key, spec=spec)

        # Metrics with all their digits and losses with five, as the detection task has them.
        metrics = {f"metric_{k}": float(value) for k, value in enumerate(rng.random(17))}
        curve = tuple(float(f"{value:.5g}") for value in rng.random(20))
        seconds = {"train": 1.5, "score": 0.5}
        told = Told(trial=0, status="completed", reward=0.5, metrics=metrics, seconds=seconds, loss_curve=curve)

        trials.append((asked, told))
    return trials


def events_of(number: int, samples: Sequence[tuple[Asked, Told]]) -> tuple[Asked, Told]:
    """Return both events of one trial; its key is its own, so that no trial counts as known."""
    asked, told = samples[number % len(samples)]
    key = f"{number:016x}"
    return asked.model_copy(update={"trial": number, "key": key}), told.model_copy(update={"trial": number})


def synced_events_per_second(run: Path, samples: Sequence[tuple[Asked, Told]]) -> float:
    """Append events to a new journal, which syncs each to the disk."""
    with Journal(run, {}) as journal:
        started = time.perf_counter()
        for number in range(NUM_SYNCED // 2):
            for event in events_of(number, samples):
                journal.append(event)
        return NUM_SYNCED / (time.perf_counter() - started)


def synced_lines_per_second(path: Path, line: bytes) -> float:
    """Write and sync the same line again and again: what the disk allows, without the journal."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        started = time.perf_counter()
        for _ in range(NUM_SYNCED):
            os.write(descriptor, line)
            os.fsync(descriptor)
        return NUM_SYNCED / (time.perf_counter() - started)
    finally:
        os.close(descriptor)


def write_journal(run: Path, num_trials: int, samples: Sequence[tuple[Asked, Told]]) -> Path:
    """Write a journal of finished trials and return its file."""
    with Journal(run, {}):
        pass

    # Past `Journal.append`: fsync after each event would only take longer.
    path = run / FILE_NAME
    with path.open("ab") as file:
        for number in range(num_trials):
            for event in events_of(number, samples):
                file.write(event.model_dump_json(exclude_none=True).encode() + b"\n")
    return path


def main() -> None:
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    samples = sample_trials()

    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        synced = folder / "synced"
        print(f"{synced_events_per_second(synced, samples):.0f} events a second, each with fsync")

        # A line as long as the journal's own; the very first one holds the configuration.
        line = (synced / FILE_NAME).read_bytes().splitlines(keepends=True)[1]
        lines_per_second = synced_lines_per_second(folder / "plain", line)
        print(f"{lines_per_second:.0f} lines a second, written and synced and no more")

        journal = write_journal(folder / "long", num_trials, samples)
        print(f"{journal.stat().st_size / 1e6:.0f} MB on disk")

        # Flushed, as the processes below write to the same output.
        sys.stdout.flush()
        for _ in range(NUM_OPENINGS):
            subprocess.run([sys.executable, "-c", OPEN, str(journal.parent)], check=True)


if __name__ == "__main__":
    main()
