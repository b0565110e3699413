"""Benchmark of the Ray executor: how busy the workers of a cluster are, and how fast the driver is.

python -m benchmarks.cluster

First 480 trials that sleep for 2 s, with a spread of 40 %, on 24 workers of one CPU each (as Ray counts them: they
need no real ones). Prints the share of all worker-seconds that were spent in trials, from the moment when every worker
has begun its first until the last trial begins. Then 5,000 trials that take no time, on as many workers as there are
cores: trials a second by thousands, and how much resident memory of the driver grew. Journal with fsync, random search
over the SpineNet space, decoding and Ray are real.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray

from controllers.random_search import RandomSearch
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import MetricReward
from nas.executors.ray_cluster import RayExecutor
from nas.record.journal import Journal
from nas.record.trial import Trial
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, Weights
from proxy_tasks.landscape import Landscape
from search_space import Candidate, ScalePermutedSpace, resnet_seed

NUM_WORKERS, NUM_SLEEPS, SLEEP_S, SPREAD = 24, 480, 2.0, 0.4
NUM_NO_OPS, NUM_BLOCKS = 5000, 5


@dataclass(frozen=True)
class Sleep(Landscape):
    """A task that takes time and nothing else; says in which process and when."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Sleep for a log-normal time that depends on the spec."""
        started = time.time()

        # The log-normal distribution whose mean is SLEEP_S and whose standard deviation is that share of it.
        sigma = np.sqrt(np.log(1 + SPREAD**2))
        rng = np.random.default_rng(int(candidate.key, 16))
        time.sleep(rng.lognormal(np.log(SLEEP_S) - sigma**2 / 2, sigma))

        return Evaluation({"ap": 0.5, "pid": float(os.getpid()), "started": started, "ended": time.time()})


def run(task: Landscape, num_trials: int) -> tuple[list[Trial], list[float], list[int]]:
    """Run a search; return its trials, when each was told, and the driver's resident bytes at those times."""
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    ends: list[float] = []
    resident: list[int] = []

    def note(trial: Trial) -> None:
        if trial.status != "running":
            # The second number is the resident pages.
            num_pages = int(Path("/proc/self/statm").read_text().split()[1])
            ends.append(time.perf_counter())
            resident.append(num_pages * os.sysconf("SC_PAGE_SIZE"))

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder), {}) as journal:
        search = Search(
            space=space,
            controller=RandomSearch(space),
            reward=MetricReward("ap"),
            journal=journal,
            plan=Plan(num_trials, seed=0, fidelity=Fidelity(epochs=1)),
            on_change=note,
        )
        RayExecutor().run(search, task)
        return list(journal.record.trials.values()), ends, resident


def busy_share(trials: list[Trial]) -> tuple[float, float]:
    """Return the share of worker-seconds spent in trials, and over how many seconds it is taken."""
    spans = [(trial.metrics["pid"], trial.metrics["started"], trial.metrics["ended"]) for trial in trials]
    first_start: dict[float, float] = {}
    for pid, start, _ in spans:
        first_start[pid] = min(start, first_start.get(pid, start))
    if len(first_start) < NUM_WORKERS:
        print(f"only {len(first_start)} workers took part")

    # Count from the last worker that begins its first trial to the last trial that begins.
    all_up = max(first_start.values())
    last_start = max(start for _, start, _ in spans)
    busy = sum(max(0.0, min(end, last_start) - max(start, all_up)) for _, start, end in spans)
    return busy / (NUM_WORKERS * (last_start - all_up)), last_start - all_up


def main() -> None:
    # Ray counts CPUs that need not be there: trials that sleep need none.
    ray.init(num_cpus=NUM_WORKERS, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    trials, _, _ = run(Sleep(), NUM_SLEEPS)
    share, seconds = busy_share(trials)
    print(f"{NUM_SLEEPS} trials of {SLEEP_S:g} s on {NUM_WORKERS} workers: {share:.1%} busy over {seconds:.1f} s")
    ray.shutdown()

    _, ends, resident = run(Landscape(), NUM_NO_OPS)
    size = NUM_NO_OPS // NUM_BLOCKS

    # By thousands, so that a driver that slows down with the number of its trials shows it.
    for first in range(0, NUM_NO_OPS, size):
        last = min(first + size, NUM_NO_OPS - 1)
        print(f"trials {first:>4} to {last:>4}: {(last - first) / (ends[last] - ends[first]):.0f} trials/s")
    print(f"the driver's resident memory grew by {(resident[-1] - resident[0]) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
