"""How long a controller takes to ask and to tell after 10,000 trials, and to be told all of them again.

python -m benchmarks.controller_speed [number of trials]

Runs a search of that many trials on the closed-form score, on one thread. Prints the mean time of one ask and one tell
over its last tenth, updates of a policy included, and the time that it takes to open the journal with a fresh
controller, as the next start of the same search does.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.controllers import CONTROLLERS
from benchmarks.simulation import NUM_WORKERS, SimulatedExecutor, compose_config, memory_folder, seeded
from controllers import Controller, Proposal
from nas.record.journal import Journal


@dataclass
class Timed:
    """A controller that counts the seconds spent in it, apart for each tell."""

    controller: Controller
    asking_s: list[float]
    telling_s: list[float]

    @property
    def min_objectives(self) -> int:
        """The controller's own."""
        return self.controller.min_objectives

    def ask(self, rng: np.random.Generator) -> Proposal:
        """Ask, and note how long it took."""
        started = time.perf_counter()
        proposal = self.controller.ask(rng)
        self.asking_s.append(time.perf_counter() - started)
        return proposal

    def tell(self, proposal: Proposal, reward: float | None, objectives: Sequence[float] = ()) -> None:
        """Tell, and note how long it took."""
        started = time.perf_counter()
        self.controller.tell(proposal, reward, objectives)
        self.telling_s.append(time.perf_counter() - started)


def measure(name: str, num_trials: int) -> tuple[float, float, float]:
    """Return milliseconds to ask, milliseconds to tell, and seconds to resume."""
    config = compose_config(name)
    with memory_folder() as folder:
        with Journal(folder, {}) as journal:
            setup = seeded(config, 0, num_trials)
            timed = Timed(setup.controller, [], [])
            SimulatedExecutor(NUM_WORKERS, 0).run(replace(setup, controller=timed).search(journal), setup.task)
        setup = seeded(config, 0, num_trials)
        started = time.perf_counter()
        with Journal(folder, {}) as journal:
            setup.search(journal)
            resumed = time.perf_counter() - started
    last = num_trials // 10
    return 1e3 * float(np.mean(timed.asking_s[-last:])), 1e3 * float(np.mean(timed.telling_s[-last:])), resumed


def main() -> None:
    import torch

    torch.set_num_threads(1)
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"after {num_trials} trials, one thread")
    print(f"{'controller':<17}{'ask ms':>9}{'tell ms':>9}{'both ms':>9}{'resume s':>10}")
    for name in CONTROLLERS:
        asking_ms, telling_ms, resume_s = measure(name, num_trials)
        print(
            f"{name:<17}{asking_ms:>9.3f}{telling_ms:>9.3f}{asking_ms + telling_ms:>9.3f}{resume_s:>10.1f}", flush=True
        )


if __name__ == "__main__":
    main()
