"""Compare finished searches that differ in controller and seed: best reward against results, and replayed bests.

python -m benchmarks.search_curves RUN [RUN ...]

Draws docs/searches.png. Prints for each run the best reward after each ten results, the mean of its last twenty, and
the mean of its best architectures over the replays that compare with it; then, for each two controllers, the mean
difference of the replayed ones over the seeds that both have, with its 95 % interval (Student's t). The docs say which
runs are shown there.
"""

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path

from benchmarks.paired import mean_of_few
from foundation import InputError
from nas.record.journal import read_record
from nas.record.mean_reward import mean_rewards
from nas.record.replays import comparable_replays

PLOT = Path(__file__).parent.parent / "docs" / "searches.png"
NUM_LAST = 20


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search, as its rewards and those of its replays.

    Attributes:
        controller: name of its class.
        seed: of the search.
        rewards: reward of each result, in the order they came; a failed trial has 0.
        replayed: mean reward of each architecture that was replayed, over the replays' seeds.
        num_replays: seeds of the replays.
    """

    controller: str
    seed: int
    rewards: tuple[float, ...]
    replayed: tuple[float, ...]
    num_replays: int

    @property
    def best_so_far(self) -> list[float]:
        """The highest reward after each result."""
        return list(accumulate(self.rewards, max))


def main() -> None:
    try:
        results = {Path(folder).name: read_result(Path(folder)) for folder in sys.argv[1:]}
    except InputError as error:
        sys.exit(f"error: {error}")
    if not results:
        sys.exit("error: name the folders of one or more runs")

    print(f"{'run':<16}{'best after 10, 20 ...':<50}{f'last {NUM_LAST}':>8}  replayed")
    for name, result in results.items():
        best = "".join(f"{reward:8.4f}" for reward in result.best_so_far[9::10])
        last = statistics.fmean(result.rewards[-NUM_LAST:])
        print(f"{name:<16}{best:<50}{last:8.4f}  {_replayed_text(result)}")
    for line in differences(list(results.values())):
        print(line)

    draw(results)
    print(f"curves: {os.path.relpath(PLOT)}")


def read_result(folder: Path) -> SearchResult:
    """Return what a search found.

    Raises:
        InputError: there is no run in the folder, or it has no results.
    """
    record = read_record(folder)
    if not record.told:
        raise InputError(f"no trial of {folder} has come back")
    replays = comparable_replays(folder, record)
    means = mean_rewards(replay.record.trials for replay in replays)
    config = record.created.config
    return SearchResult(
        controller=str(config["controller"]["_target_"]).rpartition(".")[-1],
        seed=int(config["seed"]),
        rewards=tuple(record.trials[number].reward or 0.0 for number in record.told),
        replayed=tuple(mean.mean for mean in means.values()),
        num_replays=len(replays),
    )


def differences(results: Sequence[SearchResult]) -> list[str]:
    """Return a line for each two controllers whose replayed architectures compare over two seeds or more."""
    by_controller: dict[str, dict[int, float]] = {}
    for result in results:
        if result.replayed:
            by_controller.setdefault(result.controller, {})[result.seed] = statistics.fmean(result.replayed)

    lines = []
    for first, second in combinations(by_controller, 2):
        seeds = sorted(by_controller[first].keys() & by_controller[second].keys())
        paired = [by_controller[first][seed] - by_controller[second][seed] for seed in seeds]
        if len(paired) > 1:
            mean, half = mean_of_few(paired)
            interval = f"[{mean - half:+.4f}, {mean + half:+.4f}]"
            lines.append(f"{first} - {second}: {mean:+.4f} {interval}, replayed, paired over {len(paired)} seeds")
    return lines


def draw(results: Mapping[str, SearchResult]) -> None:
    """Draw the best so far of each run, in one colour for each controller, and their mean."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for number, controller in enumerate(dict.fromkeys(result.controller for result in results.values())):
        own = [result for result in results.values() if result.controller == controller]
        for result in own:
            counts = range(1, len(result.rewards) + 1)
            axes.step(counts, result.best_so_far, where="post", color=f"C{number}", alpha=0.4, linewidth=1)
            axes.plot(counts, result.rewards, ".", color=f"C{number}", alpha=0.25, markersize=4)

        means = [statistics.fmean(bests) for bests in zip(*(result.best_so_far for result in own), strict=False)]
        label = f"{controller}, best so far" + (f", mean of {len(own)} seeds" if len(own) > 1 else "")
        axes.step(range(1, len(means) + 1), means, where="post", color=f"C{number}", linewidth=2.5, label=label)

    axes.set(xlabel="results", ylabel="reward: AP on held-out images", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(PLOT, dpi=120)


def _replayed_text(result: SearchResult) -> str:
    if not result.replayed:
        return "none"
    mean = statistics.fmean(result.replayed)
    return f"{mean:.4f}, {len(result.replayed)} architectures x {result.num_replays} seeds"


if __name__ == "__main__":
    main()
