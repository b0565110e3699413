"""Measure how large the report's page is, and how long it takes to write and to open in a browser.

python -m benchmarks.report [most trials]

Runs have 1, 10 and 10,000 trials, with loss curves. The page of one trial is the peer: it shows what plotly.js itself
takes. Pages are opened in turns, each in a headless Chromium of its own, and two moments are timed: when the page
answers, with its table there and its plots being made one by one from the top, and when the last plot is there. Without
a graphics card the processor does the work of WebGL. Needs a Chromium (make browser) and the tests beside this folder,
which control it.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from foundation import InputError
from nas.reporting import page_of, read_runs
from tests.nas.reporting.chromium import Chromium, find_chromium
from tests.nas.reporting.reported_runs import rewards_of, write_run

NUM_ROUNDS = 7


def write_page(folder: Path, num_trials: int) -> Path:
    """Write a run and its page, and print how long the page took and how large it is."""
    run = write_run(folder / str(num_trials), rewards_of(num_trials))
    page = run / "report.html"

    started = time.perf_counter()
    page.write_text(page_of(read_runs([run]), top=6), encoding="utf-8")
    seconds = time.perf_counter() - started

    print(f"{num_trials:>6} trials: {page.stat().st_size / 1e6:.2f} MB, written in {seconds:.1f} s")
    return page


def opening_times(pages: Mapping[int, Path], browser: str) -> dict[str, dict[int, list[float]]]:
    """Open all pages in turns; return the seconds to each moment, by number of trials."""
    answered: dict[int, list[float]] = {num_trials: [] for num_trials in pages}
    drawn: dict[int, list[float]] = {num_trials: [] for num_trials in pages}

    for _ in range(NUM_ROUNDS):
        for num_trials, page in pages.items():
            with Chromium(browser) as chromium:
                drawn[num_trials].append(chromium.open(page))
                answered[num_trials].append(float(chromium.value("document.documentElement.dataset.ready")) / 1000)

    return {"answers": answered, "all is drawn": drawn}


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    browser = find_chromium()
    if browser is None:
        raise InputError("no Chromium: make browser installs one")

    with tempfile.TemporaryDirectory() as folder:
        pages = {num_trials: write_page(Path(folder), num_trials) for num_trials in (1, 10, most)}
        moments = opening_times(pages, browser)

    # The page of a single trial takes what plotly.js takes.
    for moment, times in moments.items():
        peer = median(times[1])
        for num_trials, seconds in times.items():
            middle = median(seconds)
            spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
            print(f"{num_trials:>6} trials: {moment} after {middle:.2f} s ({spread}), x {middle / peer:.1f}")


if __name__ == "__main__":
    main()
