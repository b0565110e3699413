"""How large the report's page is, and how long it takes to write and to open in a browser.

python -m benchmarks.report [most trials]

Runs of 1, 10 and 10,000 trials, with loss curves; the page of one trial is the peer: what plotly.js itself takes. Pages
are opened in turns, each in a headless Chromium of its own. Two moments: when the page answers, its table there and its
plots being drawn one by one from the top, and when the last one is drawn; without a graphics card the processor draws
what WebGL would. Needs a Chromium (make browser) and the tests beside this folder, which drive it.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from foundation import InputError
from nas.reporting import page_of, read_runs
from tests.nas.reporting.chromium import Chromium, find_chromium
from tests.nas.reporting.reported_runs import rewards_of, write_run

NUM_ROUNDS = 7


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    browser = find_chromium()
    if browser is None:
        raise InputError("no Chromium: make browser installs one")
    with tempfile.TemporaryDirectory() as folder:
        pages: dict[int, Path] = {}
        for num_trials in (1, 10, most):
            run = write_run(Path(folder) / str(num_trials), rewards_of(num_trials))
            started = time.perf_counter()
            pages[num_trials] = run / "report.html"
            pages[num_trials].write_text(page_of(read_runs([run]), top=6), encoding="utf-8")
            seconds, size = time.perf_counter() - started, pages[num_trials].stat().st_size
            print(f"{num_trials:>6} trials: {size / 1e6:.2f} MB, written in {seconds:.1f} s")
        drawn: dict[int, list[float]] = {num_trials: [] for num_trials in pages}
        answered: dict[int, list[float]] = {num_trials: [] for num_trials in pages}
        for _ in range(NUM_ROUNDS):
            for num_trials, page in pages.items():
                with Chromium(browser) as chromium:
                    drawn[num_trials].append(chromium.open(page))
                    answered[num_trials].append(float(chromium.value("document.documentElement.dataset.ready")) / 1000)
    for what, times in (("answers", answered), ("all is drawn", drawn)):
        for num_trials, found in times.items():
            middle, ratio = median(found), median(found) / median(times[1])
            spread = f"{min(found):.2f} to {max(found):.2f}"
            print(f"{num_trials:>6} trials: {what} after {middle:.2f} s ({spread}), x {ratio:.1f}")


if __name__ == "__main__":
    main()
