"""Runs for the tests of the report: journals as a search leaves them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nas.record.events import Asked, Created, Event, Told
from nas.record.journal import FILE_NAME
from nas.record.trial import Failure
from nas.reporting.runs import ReportedRun, read_runs
from search_space import Decision, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
SPACE_CONFIG = {
    "_target_": "search_space.ScalePermutedSpace",
    "base": {"_target_": "search_space.resnet_seed", "name": "r0-sp53"},
    "permutation": True,
    "connections": True,
    "level_offsets": [-1, 0, 1, 2],
    "kinds": ["bottleneck", "residual"],
    "window": 5,
}
EVOLUTION = {"_target_": "controllers.RegularizedEvolution", "space": SPACE_CONFIG, "population_size": 50}
RANDOM = {"_target_": "controllers.RandomSearch", "space": SPACE_CONFIG}
HOSTILE = (
    "</script><script>window.hacked=1</script><!-- <img src=x onerror='window.hacked=2'> \u2028 ]]> ${title} $title"
)


def config_of(controller: dict[str, Any] = EVOLUTION, **more: object) -> dict[str, Any]:
    return {"space": SPACE_CONFIG, "controller": controller, "seed": 0, "num_trials": 10, **more}


def write_run(
    folder: Path,
    rewards: list[float | None],
    config: dict[str, Any] | None = None,
    message: str = "the loss is nan",
    versions: dict[str, str] | None = None,
    name: str = "cost",
    num_parts: int = 20,
    promoted_from: int | None = None,
    decisions: tuple[Decision, ...] = SPACE.decisions,
    more_metrics: Mapping[str, float] = MappingProxyType({}),
    data: dict[str, str] | None = None,
    data_places: tuple[str, ...] | None = None,
) -> Path:
    """Write a journal with a trial for each reward; None is a failure.

    Each has a loss curve of `num_parts` points, and those from the number `promoted_from` on were promoted. Journals of
    older versions have no `decisions`.
    """
    rng = np.random.default_rng(0)
    config, versions = config or config_of(), versions or {"python": "3"}
    created = Created(config=config, versions=versions, decisions=decisions, data=data, data_places=data_places)
    events: list[Created | Event] = [created]
    for number, reward in enumerate(rewards):
        chosen = SPACE.sample(rng)
        spec = SPACE.decode(chosen).spec
        rung = int(promoted_from is not None and number >= promoted_from)
        events.append(Asked(trial=number, decisions=chosen, key=spec.key, spec=spec, rung=rung))
        metrics = {
            "ap": reward or 0.0,
            "macs": 1e6 * rng.uniform(50, 90),
            "params": 3e5,
            name: 1.0,
            "loss": rng.random(),
            **more_metrics,
        }
        curve = tuple(0.3 + (2.7 - (reward or 0.0)) / (1 + part) for part in range(num_parts))
        told = Told(trial=number, status="completed", reward=reward, metrics=metrics, seconds={"train": 30.0})
        if reward is None:
            told = Told(trial=number, status="failed", failure=Failure("nan", message))
        events.append(told.model_copy(update={"loss_curve": curve}))
    folder.mkdir(parents=True)
    lines = "".join(event.model_dump_json(exclude_none=True) + "\n" for event in events)
    (folder / FILE_NAME).write_text(lines, encoding="utf-8")
    return folder


def rewards_of(num: int, seed: int = 0) -> list[float | None]:
    drawn = np.random.default_rng(seed).random(num)
    return [None if i % 9 == 4 else float(value) for i, value in enumerate(drawn)]


def reported(*folders: Path) -> list[ReportedRun]:
    return read_runs(folders)
