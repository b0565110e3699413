"""Compare ways to search by what they found, trained again for longer: controllers with rungs, with stopping, or plain.

python -m benchmarks.search_arms EPOCHS RUN [RUN ...]

A way is a controller with its `promotion` and `stopping`. Prints for each run what it spent, and the mean AP of its
best architectures over all its replays of EPOCHS epochs; then the mean of each way over its runs, and the difference of
each two ways over the seeds that both have, with its 95 % interval (Student's t) and its p-value, before and after
Holm's correction for all pairs. Draws docs/search_arms.png: the mean of the best five so far against the epochs spent.
"""

import heapq
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmarks.paired import holm, mean_of_few
from foundation import InputError
from nas.record.journal import read_record
from nas.record.mean_reward import mean_rewards
from nas.record.record import Record
from nas.record.replays import REPLAYS, recorded_fidelity, recorded_promotion

PLOT = Path(__file__).parent.parent / "docs" / "search_arms.png"
NUM_BEST = 5


@dataclass(frozen=True, slots=True)
class Search:
    """A search, as what it spent and what it found.

    Attributes:
        way: its controller, with rungs or stopping where it has them.
        seed: of the search.
        curve: epochs spent, and the mean reward of the best five of the furthest rung, after each result from the
            fifth on.
        num_trained: trainings, those that were stopped and promotions among them.
        epochs: epochs spent on them.
        replayed: mean AP of each architecture that was trained again.
        num_replays: trainings of all of them.
    """

    way: str
    seed: int
    curve: tuple[tuple[float, float], ...]
    num_trained: int
    epochs: float
    replayed: tuple[float, ...]
    num_replays: int


def main() -> None:
    try:
        epochs, *folders = sys.argv[1:]
        searches = [read_search(Path(folder), float(epochs)) for folder in folders]
    except InputError as error:
        sys.exit(f"error: {error}")
    except ValueError:
        sys.exit("error: name the epochs of the replays, and the folders of one or more runs")

    print(f"{'run':<36}{'trained':>8}{'epochs':>8}  best {NUM_BEST}  replayed")
    for one in searches:
        replayed = f"{statistics.fmean(one.replayed):.4f}, {one.num_replays} trainings" if one.replayed else "none"
        name = f"{one.way}, seed {one.seed}"
        print(f"{name:<36}{one.num_trained:>8}{one.epochs:>8.0f}  {one.curve[-1][1]:.4f}  {replayed}")

    print()
    for line in [*means(searches), "", *differences(searches)]:
        print(line)
    draw(searches)
    print(f"curves: {os.path.relpath(PLOT)}")


def read_search(folder: Path, epochs: float) -> Search:
    """Return what a search spent and found, by its replays of so many epochs.

    Raises:
        InputError: there is no run in the folder, or fewer than five results.
    """
    record = read_record(folder)
    replays = [read_record(path.parent) for path in sorted((folder / REPLAYS).glob("*/journal.jsonl"))]
    longer = [one.trials for one in replays if recorded_fidelity(one.created, 0).epochs == epochs]
    found = mean_rewards(longer)
    curve, num_trained, spent = _curve(record)
    if not curve:
        raise InputError(f"{folder} has fewer than {NUM_BEST} results")
    return Search(
        way=way_of(record),
        seed=int(record.created.config["seed"]),
        curve=tuple(curve),
        num_trained=num_trained,
        epochs=spent,
        replayed=tuple(one.mean for one in found.values()),
        num_replays=sum(one.num_trainings for one in found.values()),
    )


def way_of(record: Record) -> str:
    """Return the controller of a run, and whether it promotes or stops."""
    config = record.created.config
    controller = str(config["controller"]["_target_"]).rpartition(".")[-1]
    rungs = " + rungs" if recorded_promotion(record.created).num_rungs > 1 else ""
    return controller + rungs + (" + stopping" if config.get("stopping", {}).get("shares") else "")


def _curve(record: Record) -> tuple[list[tuple[float, float]], int, float]:
    """Return epochs spent and the mean of the best five after each result, the number of trainings, and all epochs."""
    furthest = recorded_promotion(record.created).num_rungs - 1
    curve: list[tuple[float, float]] = []
    best: dict[str, float] = {}
    spent, num_trained = 0.0, 0
    for number in record.told:
        trial = record.trials[number]
        if trial.status in ("completed", "stopped"):
            whole = recorded_fidelity(record.created, trial.rung).epochs
            spent += (whole - trial.metrics.get("epochs_before", 0.0)) * trial.share_done
            num_trained += 1
        if trial.reward is not None and trial.rung == furthest:
            best[trial.key] = trial.reward
        if len(best) >= NUM_BEST:
            curve.append((spent, statistics.fmean(heapq.nlargest(NUM_BEST, best.values()))))
    return curve, num_trained, spent


def _by_way(searches: Sequence[Search]) -> dict[str, dict[int, float]]:
    """Return the mean AP of what each way found with each seed, of those that were trained again."""
    found: dict[str, dict[int, float]] = {}
    for one in searches:
        if one.replayed:
            found.setdefault(one.way, {})[one.seed] = statistics.fmean(one.replayed)
    return found


def means(searches: Sequence[Search]) -> list[str]:
    """Return a line for each way: epochs of a search, and the mean AP with its interval over seeds."""
    lines = []
    for way, by_seed in _by_way(searches).items():
        spent = statistics.fmean(one.epochs for one in searches if one.way == way)
        mean, half = mean_of_few(list(by_seed.values()))
        lines.append(
            f"{way:<32}{spent:>6.0f} epochs  {mean:.4f} [{mean - half:.4f}, {mean + half:.4f}], {len(by_seed)} seeds"
        )
    return lines


def differences(searches: Sequence[Search]) -> list[str]:
    """Return a line for each two ways over their common seeds, two or more, the smallest p-value first."""
    found = _by_way(searches)
    compared = []
    for first, second in combinations(found, 2):
        seeds = sorted(found[first].keys() & found[second].keys())
        paired = [found[first][seed] - found[second][seed] for seed in seeds]
        if len(paired) > 1:
            compared.append((p_value(paired), first, second, paired))
    compared.sort(key=lambda one: one[0])

    lines = []
    corrected = holm([p for p, *_ in compared])
    for (p, first, second, paired), of_all in zip(compared, corrected, strict=True):
        mean, half = mean_of_few(paired)
        interval = f"[{mean - half:+.4f}, {mean + half:+.4f}]"
        lines.append(f"{first} - {second}: {mean:+.4f} {interval}, p {p:.2f}, Holm {of_all:.2f}")
    return lines


def p_value(paired: Sequence[float]) -> float:
    """Return the two-sided p-value of Student's t for a mean of zero."""
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(paired, 0.0).pvalue)


def draw(searches: Sequence[Search]) -> None:
    """Draw the best five so far of each search against what it spent, in one colour for each way."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for number, way in enumerate(dict.fromkeys(one.way for one in searches)):
        own = [one for one in searches if one.way == way]
        for one in own:
            axes.step(*zip(*one.curve, strict=True), where="post", color=f"C{number}", linewidth=0.8, alpha=0.35)

        # The mean where all of them have been.
        first, last = max(one.curve[0][0] for one in own), min(one.curve[-1][0] for one in own)
        points = sorted({spent for one in own for spent, _ in one.curve if first <= spent <= last})
        middle = [statistics.fmean(_at(one.curve, point) for one in own) for point in points]
        axes.step(points, middle, where="post", color=f"C{number}", linewidth=2.2, label=f"{way}, mean of {len(own)}")

    axes.set(
        xlabel="epochs spent", ylabel=f"mean AP of the best {NUM_BEST} so far, one training each", ylim=(0.25, None)
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(PLOT, dpi=110)


def _at(curve: Sequence[tuple[float, float]], spent: float) -> float:
    """Return the value of a step curve at a point that it reaches."""
    return [value for reached, value in curve if reached <= spent][-1]


if __name__ == "__main__":
    main()
