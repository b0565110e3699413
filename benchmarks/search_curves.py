"""Draw the best reward so far against results, for finished runs.

python -m benchmarks.search_curves RUN [RUN ...]

Draws docs/searches.png and prints the best after each ten results. The docs say which runs are shown there.
"""

import os
import sys
from itertools import accumulate
from pathlib import Path

from foundation import InputError
from nas.record.journal import read_record

PLOT = Path(__file__).parent.parent / "docs" / "searches.png"


def main() -> None:
    try:
        records = {Path(folder): read_record(Path(folder)) for folder in sys.argv[1:]}
    except InputError as error:
        sys.exit(f"error: {error}")
    if not records:
        sys.exit("error: name the folders of one or more runs")

    # Imported here, so that a wrong folder is answered at once.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for folder, record in records.items():
        # A trial that failed has no reward and takes its turn as 0.
        rewards = [record.trials[number].reward or 0.0 for number in record.told]
        best = list(accumulate(rewards, max))
        counts = range(1, len(best) + 1)

        (line,) = axes.step(counts, best, where="post", label=f"{folder.name}, best so far")
        axes.plot(counts, rewards, ".", color=line.get_color(), alpha=0.4, label=f"{folder.name}, each trial")
        print(f"{folder.name:<12}" + "".join(f"{reward:8.4f}" for reward in best[9::10]))

    axes.set(xlabel="results", ylabel="reward: AP on held-out images", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(PLOT, dpi=120)
    print(f"curves: {os.path.relpath(PLOT)}")


if __name__ == "__main__":
    main()
