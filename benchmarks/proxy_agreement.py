"""Whether the quickstart's proxy task tells architectures apart: does it rank them alike with two seeds?

python -m benchmarks.proxy_agreement [number of architectures]

Trains random architectures of the SpineNet space on the quickstart's task with two training seeds each, on one thread,
and prints AP of each, the Spearman correlation of the two lists, and the spread between seeds and between
architectures. The set-up is that of `experiment=quickstart`, read from its YAML. Several processes share the work.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from nas.build import Setup, build_setup
from nas.command_line import compose
from proxy_tasks import silent

SEEDS = (0, 1)


def quickstart() -> Setup:
    return build_setup(compose("config", ["experiment=quickstart"]))


def evaluate(number: int, seed: int) -> tuple[float, float]:
    """Return AP of random architecture `number` and the seconds that it took on one thread."""
    import torch

    torch.set_num_threads(1)
    setup = quickstart()
    spec = setup.space.decode(setup.space.sample(np.random.default_rng([2026, number])))
    started = time.perf_counter()
    evaluation = setup.task.evaluate(spec, fidelity=setup.fidelity, seed=seed)
    return evaluation.metrics["ap"], time.perf_counter() - started


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of ranks; there are no ties among measured APs worth treating."""
    return float(np.corrcoef(first.argsort().argsort(), second.argsort().argsort())[0, 1])


def main() -> None:
    num_specs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    quickstart().task.prepare(silent)
    jobs = [(number, seed) for number in range(num_specs) for seed in SEEDS]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(evaluate, *zip(*jobs, strict=True)))
    ap = np.array([result[0] for result in results]).reshape(num_specs, len(SEEDS))
    seconds = np.array([result[1] for result in results])
    print("architecture  " + "  ".join(f"AP seed {seed}" for seed in SEEDS))
    for number, row in enumerate(ap):
        print(f"{number:>12}  " + "  ".join(f"{value:9.3f}" for value in row))
    between_seeds = np.sqrt(ap.var(axis=1, ddof=1).mean())
    print(f"\nSpearman correlation between seeds      {spearman(ap[:, 0], ap[:, 1]):.3f}")
    print(f"standard deviation between seeds        {between_seeds:.3f}")
    print(f"standard deviation between architectures {ap.mean(axis=1).std(ddof=1):.3f}")
    print(f"seconds a trial on one thread: median {np.median(seconds):.1f}, largest {seconds.max():.1f}")


if __name__ == "__main__":
    main()
