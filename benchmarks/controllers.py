"""Compare the controllers by the best architecture that each finds within a number of trials, none of it trained.

python -m benchmarks.controllers [number of seeds] [number of trials] [ground]

Every controller with the options of its YAML, 30 seeds and 2,000 trials unless told otherwise. 32 workers in simulated
time; the rewards are noisy, and the scores reported are those without the noise. Loop and journal are the real ones.
Prints the mean of the best score after 100, 500 and 2,000 results, the differences to random search and to guided
search without its model with the same seed, all with 95 % intervals, p of each difference corrected for the number of
them (Holm), and the front of score against multiply-adds. The whole benchmark on the first ground draws its curves to
docs/controllers.png. Grounds:

- `landscape` and others in closed form: each seed is another landscape and another search. Durations spread by 40 %,
  and 5 % of the trials fail.
- `table`: predictions from real trainings, one ground for all seeds, which differ in the search and in the luck of its
  trainings. Noise and durations are recorded ones; what is far outside the table fails.

The controllers' options were chosen on the seeds from 1000 on, the seeds here are those from 0 on.
"""

import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paired import Difference, difference, half_interval, holm
from benchmarks.simulation import best_so_far, compose_config, seeded, simulate
from proxy_tasks import silent
from proxy_tasks.landscape import CEILING, Landscape
from proxy_tasks.surrogate.task import TableSurrogate

GREEDY = "guided controller.model=none"
CONTROLLERS = ("random", "evolution", "pareto_evolution", "local_search", "reinforce", "ppo", GREEDY, "guided")
COUNTS = (100, 500, 2000)
CONTROLS = ("random", GREEDY)
"""The controllers that all are compared with."""
MACS_UNIT = 4e10
"""Multiply-adds above which a network adds nothing to the front of a landscape; nearly all of the space is below."""
PLOT = Path(__file__).parent.parent / "docs" / "controllers.png"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one search.

    Attributes:
        curve: (T,) best score after each result.
        front: area under the front of score against multiply-adds, as a share of what is possible.
        reused: share of the trials that were not trained, as their architecture had been.
    """

    curve: NDArray[np.float64]
    front: float
    reused: float


def run(config: dict[str, Any], seed: int, num_trials: int) -> Run:
    """Run one search, on the landscape of its seed or on the table."""
    import torch

    # One thread: there is a process for each core.
    torch.set_num_threads(1)
    setup = seeded(config, seed, num_trials)
    trials = simulate(setup)
    ground = setup.task
    assert isinstance(ground, Landscape | TableSurrogate)

    completed = [trial for trial in trials if trial.reward is not None]
    points = [(ground.score(trial.spec), trial.metrics["macs"]) for trial in completed]
    return Run(
        curve=np.array(best_so_far(trials, ground)),
        front=front_area(points, *_extent(ground)),
        reused=sum(trial.status == "reused" for trial in trials) / len(trials),
    )


def front_area(points: list[tuple[float, float]], ceiling: float = CEILING, macs_unit: float = MACS_UNIT) -> float:
    """Return the area that scores and multiply-adds dominate, as a share of what is possible."""
    # From the cheapest on, each better score adds a strip that reaches from its own cost to the unit.
    area, best = 0.0, 0.0
    for score, macs in sorted(points, key=lambda point: point[1]):
        if score > best and macs < macs_unit:
            area += (score - best) * (macs_unit - macs)
            best = score
    return area / (ceiling * macs_unit)


def _extent(ground: Landscape | TableSurrogate) -> tuple[float, float]:
    """Return the highest score that there is, and multiply-adds above which a network adds nothing to the front."""
    return ground.highest() if isinstance(ground, TableSurrogate) else (CEILING, MACS_UNIT)


def main() -> None:
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    num_trials = int(sys.argv[2]) if len(sys.argv) > 2 else max(COUNTS)
    ground = sys.argv[3] if len(sys.argv) > 3 else "landscape"
    counts = [count for count in COUNTS if count < num_trials] + [num_trials]

    runs = run_all(num_seeds, num_trials, counts, ground)
    curves = {name: np.stack([one.curve for one in found]) for name, found in runs.items()}  # (seeds, T)
    print_comparison(curves, counts)
    print_fronts(runs, num_trials)

    highest = max(curve.max() for curve in curves.values())
    at_highest = sum(int((curve[:, -1] >= highest - 1e-9).sum()) for curve in curves.values())
    print(f"\nhighest score found {highest:.4f}, by {at_highest} of the searches")

    # The drawing in the docs shows the whole benchmark alone.
    if len(sys.argv) == 1:
        plot(curves, num_seeds)
        print(f"curves: {os.path.relpath(PLOT)}")


def run_all(num_seeds: int, num_trials: int, counts: Sequence[int], ground: str) -> dict[str, list[Run]]:
    """Run every controller with every seed, and print its best scores after `counts` results as soon as it is done."""
    configs = {name: compose_config(name, ground) for name in CONTROLLERS}
    found: dict[str, list[Run]] = {}

    task = seeded(configs["random"], 0, num_trials).task
    lines = task.prepare(silent)
    print("\n".join((f"{ground}: best score of {num_seeds} seeds, mean and 95 % interval", *lines, "")))
    print(f"{'results':<29}" + "".join(f"{count:>17}" for count in counts) + f"{'reused':>9}")

    # Spawned, as a fork of a process with torch's threads may hang.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for name in CONTROLLERS:
            found[name] = list(pool.map(run, [configs[name]] * num_seeds, range(num_seeds), [num_trials] * num_seeds))

            text = ""
            for count in counts:
                scores = np.array([one.curve[count - 1] for one in found[name]])
                text += f"{scores.mean():>9.4f} +-{half_interval(scores):.4f}"
            print(f"{name:<29}{text}{np.mean([one.reused for one in found[name]]):>9.1%}", flush=True)
    return found


def print_comparison(curves: Mapping[str, NDArray[np.float64]], counts: Sequence[int]) -> None:
    """Print how far each controller is ahead of the controls, and when it has reached what random search finds.

    Args:
        curves: (S, T) of each controller, the best score of each seed after each result.
        counts: results after which they are compared.
    """
    compared: dict[tuple[str, str, int], Difference] = {}
    for control, name, count in itertools.product(CONTROLS, CONTROLLERS, counts):
        # Both controls are compared once.
        if name != control and (control, name) != (GREEDY, "random"):
            compared[control, name, count] = difference(curves[name][:, count - 1], curves[control][:, count - 1])

    corrected = dict(zip(compared, holm([found.p for found in compared.values()]), strict=True))
    print(f"\ndifference with the same seed, 95 % interval, and p corrected for {len(compared)} comparisons (Holm)")
    for (control, name, count), found in compared.items():
        interval = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        p = corrected[control, name, count]
        print(f"{name:<29}less {control:<28}{count:>6} results  {interval}  p {p:.4f}")

    # Of the mean curves: a single seed may be lucky.
    goal = curves["random"][:, -1].mean()
    print(f"\nresults until the mean is random search's after {counts[-1]}, {goal:.4f}")
    for name in CONTROLLERS[1:]:
        reached = np.flatnonzero(curves[name].mean(0) >= goal)
        print(f"{name:<29}{reached[0] + 1 if len(reached) else 'never':>9}")


def print_fronts(runs: Mapping[str, Sequence[Run]], num_trials: int) -> None:
    """Print the area under each controller's front, mean over the seeds."""
    print(f"\narea under the front of score against multiply-adds after {num_trials}")
    for name, found in runs.items():
        areas = np.array([one.front for one in found])
        print(f"{name:<29}{areas.mean():>9.4f} +-{half_interval(areas):.4f}")


def plot(curves: Mapping[str, NDArray[np.float64]], num_seeds: int) -> None:
    """Draw best-so-far against results: mean over the seeds, and its 95 % interval as a band."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for name, curve in curves.items():
        # Evenly spaced on the logarithmic axis.
        counts = np.unique(np.geomspace(10, curve.shape[1], 60).round().astype(int))
        mean = curve[:, counts - 1].mean(0)
        band = np.array([half_interval(curve[:, count - 1]) for count in counts])

        (line,) = axes.plot(counts, mean, label=name)
        axes.fill_between(counts, mean - band, mean + band, alpha=0.2, color=line.get_color(), linewidth=0)

    axes.set(xscale="log", xlabel="results", ylabel="best score so far, without noise")
    axes.set_title(f"Landscape, 32 asynchronous workers, {num_seeds} seeds: mean and 95 % interval", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(PLOT, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
