"""The section on what a reward depends on: there from fifty architectures on, and silent about noise."""

from pathlib import Path

import numpy as np

from nas.record.events import Asked, Created, Event, Told
from nas.record.journal import FILE_NAME
from nas.reporting.importance import importance_section
from search_space.resolution import levels_above
from tests.nas.reporting.reported_runs import SPACE, config_of, reported, rewards_of, write_run


def write_learnable_run(folder: Path, num_trials: int) -> Path:
    """Write a run whose rewards are a function of the resolution of one path."""
    rng = np.random.default_rng(1)
    events: list[Created | Event] = [Created(config=config_of(), versions={"python": "3"}, decisions=SPACE.decisions)]
    for number in range(num_trials):
        chosen = SPACE.sample(rng)
        spec = SPACE.decode(chosen).spec
        level = min(spec.output_levels)
        reward = 1.0 / (1 + levels_above(spec)[level])
        events += [
            Asked(trial=number, decisions=chosen, key=spec.key, spec=spec),
            Told(trial=number, status="completed", reward=reward, metrics={"ap": reward}),
        ]
    folder.mkdir()
    (folder / FILE_NAME).write_text("".join(event.model_dump_json(exclude_none=True) + "\n" for event in events))
    return folder


def test_what_a_reward_was_made_of_stands_first(tmp_path: Path) -> None:
    section = importance_section(reported(write_learnable_run(tmp_path / "run", 120)))
    assert "<h2>What the reward depends on</h2>" in section
    assert section.index("<tbody><tr><td>resolution of the path to the output of level 3</td>")


def test_of_noise_it_says_that_nothing_is_certain(tmp_path: Path) -> None:
    section = importance_section(reported(write_run(tmp_path / "run", rewards_of(80))))
    assert "is not certain" in section
    assert "<tbody>" not in section


def test_too_few_architectures_and_several_runs_have_none(tmp_path: Path) -> None:
    few = write_run(tmp_path / "few", rewards_of(40))
    equal = write_run(tmp_path / "equal", [0.5] * 80)
    many = write_run(tmp_path / "many", rewards_of(80))
    assert importance_section(reported(few)) == ""
    assert importance_section(reported(equal)) == ""
    assert importance_section(reported(few, many)) == ""
