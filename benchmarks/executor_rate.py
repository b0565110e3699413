"""How many trials a second the driver and Ray Tune manage when a trial itself takes no time.

python -m benchmarks.executor_rate [number of trials]

Everything but the training is real: journal with fsync, random search over the SpineNet space, decoding, Ray workers.
Prints trials a second over the first and the second half, counted from the first trial's end, the driver's growth of
memory, and the same for the local executor, interleaved, as the floor that Ray is measured against.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from controllers import RandomSearch
from nas.executors import Executor
from nas.executors.local import LocalExecutor
from nas.executors.ray_tune import RayTuneExecutor
from nas.journal import Journal
from nas.loop import Search
from nas.reward import MetricReward
from nas.trial import Trial
from proxy_tasks import Fidelity
from proxy_tasks.landscape import Landscape
from search_space import ScalePermutedSpace, resnet_seed

NUM_ROUNDS = 3


def rates(executor: Executor, num_trials: int) -> tuple[float, float]:
    """Return trials a second over the first and the second half of a run."""
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    ends: list[float] = []

    def note(trial: Trial) -> None:
        if trial.status != "running":
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder), {}) as journal:
        search = Search(
            space=space,
            controller=RandomSearch(space),
            reward=MetricReward(),
            journal=journal,
            fidelity=Fidelity(epochs=1),
            num_trials=num_trials,
            seed=0,
            on_change=note,
        )
        executor.run(search, Landscape())
    middle = len(ends) // 2
    return middle / (ends[middle] - ends[0]), (len(ends) - 1 - middle) / (ends[-1] - ends[middle])


def main() -> None:
    num_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    found: dict[str, list[tuple[float, float]]] = {"ray": [], "local": []}
    print(f"{num_trials} trials, {NUM_ROUNDS} rounds; trials/s in the first and the second half")
    for _ in range(NUM_ROUNDS):
        for name, executor in (("ray", RayTuneExecutor()), ("local", LocalExecutor())):
            found[name].append(rates(executor, num_trials))
            first, second = found[name][-1]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{name:<6} {first:7.1f} {second:7.1f}   ratio {second / first:.2f}   peak memory {memory:.0f} MB")
    for name, values in found.items():
        firsts, seconds = zip(*values, strict=True)
        print(f"median {name:<6} {median(firsts):7.1f} {median(seconds):7.1f}")


if __name__ == "__main__":
    main()
