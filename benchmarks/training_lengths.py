"""Trainings of several lengths in one table: how well each length tells architectures apart, and ranks as a longer one.

python -m benchmarks.training_lengths TABLE [OTHER TABLE]

Prints for each length with several seeds the intraclass correlation, with the deviations that it is made of; for each
two lengths Spearman's correlation of the shorter one's first training with the longer one's mean; and, of two tables,
how the AP of the same architecture and seed differs between them. Every figure has its 95 % interval by bootstrap over
architectures. What continued from a shorter training is a length of its own.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np

from foundation import InputError
from nas.assessment.correlation import spearman
from nas.assessment.interval import Estimate, between_estimate, estimate, intraclass_estimate, within_estimate
from proxy_tasks.training_table import TrainingTable, read_table

Trained: TypeAlias = Mapping[str, Mapping[int, float]]
"""AP of each seed, by the architecture's key."""
MIN_ARCHITECTURES = 10


def main() -> None:
    try:
        tables = [by_length(read_table(Path(name))) for name in sys.argv[1:]]
    except InputError as error:
        sys.exit(f"error: {error}")
    if not tables:
        sys.exit("error: name a table of trainings")

    lengths = tables[0]
    for name, trained in lengths.items():
        print(f"{name}: {len(trained)} architectures")
        print_seeds(trained)
    for (first, shorter), (second, longer) in combinations(sorted(lengths.items(), key=lambda one: _epochs(one[0])), 2):
        common = sorted(shorter.keys() & longer.keys())
        if len(common) >= MIN_ARCHITECTURES:
            one = np.array([next(iter(shorter[key].values())) for key in common])
            other = np.array([np.mean(list(longer[key].values())) for key in common])
            print(
                f"{first}, one training, and {second}: Spearman {_text(estimate(spearman, one, other))}, {len(common)}"
            )

    for name, trained in lengths.items():
        for other_trained in [table[name] for table in tables[1:] if name in table]:
            print_difference(name, trained, other_trained)


def by_length(table: TrainingTable) -> dict[str, Trained]:
    """Return the trainings of the table's searches and replays, by their length in words."""
    lengths: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in table.rows:
        if row.spec is not None:
            name = f"{row.fidelity.epochs:g} epochs" + (", continued" if row.is_continued else "")
            lengths[name][row.key].setdefault(row.seed, row.metrics["ap"])
    return {name: dict(own) for name, own in sorted(lengths.items(), key=lambda one: _epochs(one[0]))}


def print_seeds(trained: Trained) -> None:
    """Print how the architectures with the commonest number of seeds, two or more, differ, and how their seeds do."""
    counts = Counter(len(seeds) for seeds in trained.values() if len(seeds) > 1)
    if not counts:
        return
    num_seeds, num_architectures = counts.most_common(1)[0]
    if num_architectures < MIN_ARCHITECTURES:
        return
    rewards = np.array([list(seeds.values()) for seeds in trained.values() if len(seeds) == num_seeds])
    means = rewards.mean(1)
    print(f"  {num_architectures} with {num_seeds} seeds, means {means.min():.3f} to {means.max():.3f}")
    print(f"  intraclass correlation {_text(intraclass_estimate(rewards))}")
    print(f"  in the better half {_text(intraclass_estimate(rewards, of_better_half=True))}")
    print(f"  between architectures {_text(between_estimate(rewards), 4)}, seeds {_text(within_estimate(rewards), 4)}")


def print_difference(name: str, trained: Trained, other: Trained) -> None:
    """Print how AP differs where architecture and seed are the same."""
    common = sorted((key, seed) for key in trained.keys() & other.keys() for seed in trained[key].keys() & other[key])
    if len(common) < MIN_ARCHITECTURES:
        return
    first, second = (np.array([table[key][seed] for key, seed in common]) for table in (trained, other))
    difference = estimate(lambda rows: rows.mean(-1), first - second)
    print(f"{name}, first table less the other: {_text(difference, 4)}, {len(common)} with the same seed")
    print(f"  Spearman {_text(estimate(spearman, first, second))}")


def _epochs(name: str) -> float:
    return float(name.partition(" ")[0])


def _text(value: Estimate, digits: int = 2) -> str:
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


if __name__ == "__main__":
    main()
