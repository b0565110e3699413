"""Agreement of the quickstart's proxy task with itself: does it rank architectures alike with two seeds?

python -m benchmarks.proxy_agreement [number of architectures]

Trains random architectures of the SpineNet space on the quickstart's task with two training seeds each, on one thread,
and prints AP of each, the Spearman correlation of the two lists, and the spread between seeds and between
architectures. The set-up is that of `experiment=quickstart`, read from its YAML. Several processes share the work.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from nas.options.builder import build
from proxy_tasks import Fidelity, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.recipe import Recipe
from proxy_tasks.detection.task import DetectionProxy
from search_space import ModelScale, ScalePermutedSpace, resnet_seed

SEEDS = (0, 1)
EXPERIMENTS = Path(str(files("experiments")))
T = TypeVar("T")


def quickstart() -> tuple[DetectionProxy, Fidelity]:
    """Return the quickstart's task and fidelity from its YAML files, which need no Hydra to be read."""
    task = DetectionProxy(
        data=from_yaml(Shapes, "data/shapes.yaml"),
        scale=from_yaml(ModelScale, "scale/tiny.yaml"),
        recipe=from_yaml(Recipe, "recipe/short.yaml"),
    )
    whole = yaml.safe_load((EXPERIMENTS / "experiment" / "quickstart.yaml").read_text(encoding="utf-8"))
    return task, build(Fidelity, whole["fidelity"], "fidelity")


def from_yaml(cls: type[T], name: str) -> T:
    options = yaml.safe_load((EXPERIMENTS / name).read_text(encoding="utf-8"))
    return build(cls, {option: value for option, value in options.items() if option != "_target_"}, name)


def evaluate(number: int, seed: int) -> tuple[float, float]:
    """Return AP of random architecture `number` and the seconds that it took on one thread."""
    import torch

    torch.set_num_threads(1)
    task, fidelity = quickstart()
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    spec = space.decode(space.sample(np.random.default_rng([2026, number])))
    started = time.perf_counter()
    evaluation = task.evaluate(spec, fidelity=fidelity, seed=seed)
    return evaluation.metrics["ap"], time.perf_counter() - started


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the correlation of ranks; there are no ties among measured APs worth treating."""
    return float(np.corrcoef(first.argsort().argsort(), second.argsort().argsort())[0, 1])


def main() -> None:
    num_specs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    quickstart()[0].prepare(silent)
    jobs = [(number, seed) for number in range(num_specs) for seed in SEEDS]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(evaluate, *zip(*jobs, strict=True)))

    ap = np.array([result[0] for result in results]).reshape(num_specs, len(SEEDS))
    seconds = np.array([result[1] for result in results])

    print("architecture  " + "  ".join(f"AP seed {seed}" for seed in SEEDS))
    for number, of_seeds in enumerate(ap):
        print(f"{number:>12}  " + "  ".join(f"{value:9.3f}" for value in of_seeds))

    # Pooled: the variance of each architecture's seeds, averaged over the architectures.
    between_seeds = np.sqrt(ap.var(axis=1, ddof=1).mean())
    print(f"\nSpearman correlation between seeds      {spearman(ap[:, 0], ap[:, 1]):.3f}")
    print(f"standard deviation between seeds        {between_seeds:.3f}")
    print(f"standard deviation between architectures {ap.mean(axis=1).std(ddof=1):.3f}")
    print(f"seconds a trial on one thread: median {np.median(seconds):.1f}, largest {seconds.max():.1f}")


if __name__ == "__main__":
    main()
