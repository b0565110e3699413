"""Time each controller's ask and tell after 10,000 trials, and a resume that tells it all of them again.

python -m benchmarks.controller_speed [number of trials]

Runs a search of that many trials on the closed-form score, on one thread. Prints the mean time of one ask and one tell
over its last tenth, updates of a policy included, and the time that it takes to open the journal with a fresh
controller, as the next start of the same search does.
"""

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.controllers import CONTROLLERS
from benchmarks.simulation import NUM_WORKERS, SimulatedExecutor, compose_config, memory_folder, seeded
from controllers import Controller, Proposal
from nas.record.journal import Journal
from search_space import Decisions


@dataclass
class Timed:
    """A controller that notes the seconds of each ask and each tell."""

    controller: Controller
    asking_s: list[float]
    telling_s: list[float]

    @property
    def min_objectives(self) -> int:
        """Fewest objectives that the timed controller needs."""
        return self.controller.min_objectives

    def ask(self, rng: np.random.Generator, running: Collection[Decisions] = ()) -> Proposal:
        """Ask, and note how long it took."""
        started = time.perf_counter()
        proposal = self.controller.ask(rng, running)
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

        # Build the second setup before the clock starts: a resume is the journal and what the controller makes of it.
        setup = seeded(config, 0, num_trials)
        started = time.perf_counter()
        with Journal(folder, {}) as journal:
            setup.search(journal)
            resume_s = time.perf_counter() - started

    # A full memory answers more slowly than an empty one.
    last = num_trials // 10
    ask_ms, tell_ms = (1e3 * float(np.mean(seconds[-last:])) for seconds in (timed.asking_s, timed.telling_s))
    return ask_ms, tell_ms, resume_s


def main() -> None:
    import torch

    torch.set_num_threads(1)
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"after {num_trials} trials, one thread")
    print(f"{'controller':<29}{'ask ms':>9}{'tell ms':>9}{'both ms':>9}{'resume s':>10}")
    for name in CONTROLLERS:
        ask_ms, tell_ms, resume_s = measure(name, num_trials)
        print(f"{name:<29}{ask_ms:>9.3f}{tell_ms:>9.3f}{ask_ms + tell_ms:>9.3f}{resume_s:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
