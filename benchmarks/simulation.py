"""A cluster in simulated time: a search on a ground as many workers would run it, without the waiting."""

import heapq
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nas.engine.job import Outcome
from nas.executors import TrialSource
from nas.executors.base import run_job
from nas.options.command_line import compose
from nas.record.journal import Journal
from nas.record.trial import Trial
from nas.setup import Setup, build_setup
from proxy_tasks import Evaluation, ProxyTask
from search_space import ArchSpec

NUM_WORKERS = 32
DURATION_SPREAD = 0.4
"""Standard deviation of a trial's duration, relative to its mean."""
OPTIONS = ("fidelity.epochs=1", "executor=local")
CLOSED_FORM = ("task.noise=0.025", "task.failure_rate=0.05")
"""The noise is 0.28 of the spread between architectures, as between two seeds of the quickstart's proxy task."""


class Ground(Protocol):
    """A task that knows what its noise hides."""

    def score(self, spec: ArchSpec) -> float:
        """Return the metric that a search sees, without noise."""
        ...


class SimulatedExecutor:
    """Runs each job at once, but hands its outcome back when a worker of a cluster would have been done with it.

    A job takes as long as its evaluation says. Where that says nothing, durations are log-normal.

    Args:
        num_workers: jobs at a time.
        seed: seed of the durations.
    """

    def __init__(self, num_workers: int, seed: int) -> None:
        self._num_workers = num_workers
        self._rng = np.random.default_rng(seed)

    def run(self, source: TrialSource, task: ProxyTask) -> None:
        """Run every job of the source; see `nas.executors.Executor`."""
        # A log-normal distribution with this sigma has the wanted spread relative to its mean.
        sigma = np.sqrt(np.log(1 + DURATION_SPREAD**2))
        running: list[tuple[float, int, Outcome]] = []
        now, order = 0.0, itertools.count()

        while True:
            while len(running) < self._num_workers:
                job = source.start_trial()
                if job is None:
                    break
                outcome, drawn_s = run_job(task, job), self._rng.lognormal(sigma=sigma)
                result = outcome.result
                recorded_s = sum(result.seconds.values()) if isinstance(result, Evaluation) else 0.0
                # The running number decides between equal times: outcomes cannot be ordered.
                heapq.heappush(running, (now + (recorded_s or drawn_s), next(order), outcome))

            if not running:
                return
            now, _, outcome = heapq.heappop(running)
            source.finish_trial(outcome)


def compose_config(controller: str, ground: str = "landscape") -> dict[str, Any]:
    """Return a search on a ground, with the controller's shipped options.

    Args:
        controller: name of a choice, with further options behind it, as `guided controller.model=none`.
        ground: name of the task.
    """
    reward = ["reward=tradeoff"] if controller == "pareto_evolution" else []
    noise = () if ground == "table" else CLOSED_FORM
    return compose("config", [*f"controller={controller}".split(), f"task={ground}", *OPTIONS, *noise, *reward])


def seeded(config: Mapping[str, Any], seed: int, num_trials: int) -> Setup:
    """Return the set-up of one search; its seed is the landscape's too, where the ground is one."""
    task = {**config["task"], "seed": seed} if "seed" in config["task"] else config["task"]
    return build_setup({**config, "seed": seed, "task": task, "num_trials": num_trials})


def simulate(setup: Setup) -> list[Trial]:
    """Run a whole search and return its trials in the order in which their results came."""
    with memory_folder() as folder, Journal(folder, {}) as journal:
        SimulatedExecutor(NUM_WORKERS, setup.seed).run(setup.search(journal), setup.task)
        return [journal.record.trials[number] for number in journal.record.told]


def best_so_far(trials: Sequence[Trial], ground: Ground) -> list[float]:
    """Return the best score without noise after each result; 0 before the first that did not fail."""
    scores = (0.0 if trial.reward is None else ground.score(trial.spec) for trial in trials)
    return list(itertools.accumulate(scores, max))


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give a temporary folder, in memory where the system has one: a simulated journal need not survive."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
