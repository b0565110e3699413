"""Compare what controllers can be told of trials that were stopped, at equal image passes, on closed-form scores.

python -m benchmarks.stopped_trials [number of seeds] [controller ...]

Each seed is another landscape and another search, by 32 workers in simulated time, with a loss that tells most of the
score. Trainings are compared: all to their end; stopped where the loss at a quarter is among the worse half, the
controller being told of no reward, as the search does; and the same, with the lowest reward so far in its place. Prints
the share of the trials that were stopped, and the mean of the best score after 100, 200 and 300 passes through a whole
training, with 95 % intervals, and the difference of the two treatments, paired by seed.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from benchmarks.controllers import GREEDY
from benchmarks.learning import Learning
from benchmarks.paired import half_interval
from benchmarks.simulation import compose_config, seeded, simulate
from controllers.base import Controller, Proposal
from nas.record.stopping import Stopping
from nas.record.trial import Trial
from search_space import Decisions

CONTROLLERS = ("evolution", "local_search", GREEDY, "guided", "reinforce")
BUDGETS = (100, 200, 300)
NUM_TRIALS = 450
RULE = Stopping((0.25,), worst=0.5, min_results=20)
LOSS_NOISE = 0.05
"""Noise of each loss, half of the spread between architectures: Spearman with the score is about 0.85."""
TREATMENTS = ("not stopped", "no reward", "lowest reward")


@dataclass(slots=True)
class LowestReward:
    """Tells a controller the lowest reward so far where there is none.

    Attributes:
        controller: the controller.
        lowest: the lowest reward so far; None before the first.
    """

    controller: Controller
    lowest: float | None = None

    @property
    def min_objectives(self) -> int:
        """That of the controller."""
        return self.controller.min_objectives

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Ask the controller."""
        return self.controller.ask(rng, running)

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Tell the controller the reward, or the lowest."""
        if reward is not None:
            self.lowest = reward if self.lowest is None else min(self.lowest, reward)
            self.controller.tell(proposal, reward, objectives)
        else:
            self.controller.tell(proposal, self.lowest, () if self.lowest is None else (self.lowest,))


def main() -> None:
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"best score after so many whole trainings, mean of {num_seeds} seeds: {', '.join(map(str, BUDGETS))}")
    for name in sys.argv[2:] or CONTROLLERS:
        best: dict[str, NDArray[np.float64]] = {}
        for treatment in TREATMENTS:
            found = [run(name, treatment, seed) for seed in range(num_seeds)]
            stopped = np.mean([share for share, _ in found])
            best[treatment] = np.array([own for _, own in found])  # (seeds, budgets)
            print(f"{name:30} {treatment:14} stopped {stopped:4.0%}  {_texts(best[treatment])}", flush=True)
        print(f"{name:30} no reward less lowest       {_texts(best['no reward'] - best['lowest reward'])}")


def run(name: str, treatment: str, seed: int) -> tuple[float, list[float]]:
    """Return the share of trials that one search stopped, and its best scores at each budget."""
    setup = seeded(compose_config(name), seed, NUM_TRIALS)
    task = Learning(seed=seed, noise=0.025, loss_noise=LOSS_NOISE)
    setup = replace(setup, task=task, stopping=Stopping() if treatment == "not stopped" else RULE)
    if treatment == "lowest reward":
        setup = replace(setup, controller=LowestReward(setup.controller))

    trials = simulate(setup)
    passes = np.array(list(accumulate(_passes(trial) for trial in trials)))
    scores = [0.0 if trial.reward is None else task.score(trial.spec) for trial in trials]
    best = np.array(list(accumulate(scores, max)))
    num_results = np.searchsorted(passes, BUDGETS, side="right")
    return sum(trial.status == "stopped" for trial in trials) / len(trials), best[num_results - 1].tolist()


def _passes(trial: Trial) -> float:
    """Return the share of a training that a trial has cost."""
    return 0.0 if trial.status == "reused" else trial.share_done


def _texts(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{own.mean():.3f} ± {half_interval(own):.3f}" for own in values.T)


if __name__ == "__main__":
    main()
