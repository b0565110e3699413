"""How long a journal of 100,000 trials takes to open, how fast it grows, and how much memory it fills.

python -m benchmarks.journal [number of trials]

Specs of the SpineNet space, seventeen metrics and a loss curve a trial, as the detection task has. Two numbers of the
disk below the current folder: events a second with fsync after each, and the same without Python around it. Opening is
timed in a process of its own, three times, from files that are in the page cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nas.record.journal import FILE_NAME, Asked, Journal, Told
from search_space import ScalePermutedSpace, resnet_seed

NUM_SPECS = 2000
NUM_SYNCED = 2000
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


def events_of(number: int, specs: list[tuple[Asked, Told]]) -> tuple[Asked, Told]:
    """Return what happens to a trial."""
    asked, told = specs[number % len(specs)]
    key = f"{number:016x}"
    return asked.model_copy(update={"trial": number, "key": key}), told.model_copy(update={"trial": number})


def main() -> None:
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    rng = np.random.default_rng(0)
    specs = []
    for _ in range(NUM_SPECS):
        decisions = space.sample(rng)
        spec = space.decode(decisions)
        metrics = {f"metric_{k}": float(value) for k, value in enumerate(rng.random(17))}
        asked = Asked(trial=0, decisions=decisions, key=spec.key, spec=spec)
        curve = tuple(float(f"{value:.5g}") for value in rng.random(20))
        seconds = {"train": 1.5, "score": 0.5}
        told = Told(trial=0, status="completed", reward=0.5, metrics=metrics, seconds=seconds, loss_curve=curve)
        specs.append((asked, told))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder)
        with Journal(path / "synced", {}) as journal:
            started = time.perf_counter()
            for number in range(NUM_SYNCED // 2):
                for event in events_of(number, specs):
                    journal.append(event)
            print(f"{NUM_SYNCED / (time.perf_counter() - started):.0f} events a second, each with fsync")
        line = (path / "synced" / FILE_NAME).read_bytes().splitlines(keepends=True)[1]
        descriptor = os.open(path / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        started = time.perf_counter()
        for _ in range(NUM_SYNCED):
            os.write(descriptor, line)
            os.fsync(descriptor)
        print(f"{NUM_SYNCED / (time.perf_counter() - started):.0f} lines a second, written and synced and no more")
        os.close(descriptor)

        # Without fsync, which would only take longer.
        with Journal(path / "long", {}):
            pass
        with (path / "long" / FILE_NAME).open("ab") as file:
            for number in range(num_trials):
                for event in events_of(number, specs):
                    file.write(event.model_dump_json(exclude_none=True).encode() + b"\n")
        print(f"{(path / 'long' / FILE_NAME).stat().st_size / 1e6:.0f} MB on disk")
        for _ in range(3):
            subprocess.run([sys.executable, "-c", OPEN, str(path / "long")], check=True)


if __name__ == "__main__":
    main()
