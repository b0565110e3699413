import math
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from proxy_tasks.training.optimization import make_optimizer, make_schedule
from proxy_tasks.training.recipe import Recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1}, "batch_size must be from 2 to 65536 (a batch is held in memory), got 1"),
        ({"learning_rate": 0.0}, "learning_rate must be from 1e-30 to 1e+30 ("),
        (
            {"learning_rate": float("nan")},
            "(a training counts in 32-bit floating point), got nan",
        ),
        ({"gradient_clip_norm": -1.0}, "gradient_clip_norm must be from 1e-30 to 1e+30 ("),
        ({"weight_decay": -1.0}, "weight_decay must be from 0 to 1e+30 ("),
        ({"warmup_share": 1.5}, "warmup_share and decay_shares must lie between 0 and 1"),
        (
            {"jitter": (1.2, 0.8)},
            "jitter must be two rising factors from 0.01 to 100 (beyond, no image can be seen), got [1.2, 0.8]",
        ),
        ({"jitter": (1.0, 1e300)}, "jitter must be two rising factors from 0.01 to 100"),
        ({"ema_decay": 1.0}, "ema_decay must lie between 0 and 1, got 1.0"),
        ({"optimizer": "adam"}, "optimizer must be sgd or adamw, got 'adam'"),
        ({"schedule": "linear"}, "schedule must be one_cycle or step or cosine, got 'linear'"),
    ],
)
def test_impossible_recipes_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(**options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("absurd", [2**200, 1e300, -1e300, float("nan")])
@pytest.mark.parametrize("name", [field.name for field in fields(Recipe) if field.type in (int, float, float | None)])
def test_every_number_of_a_recipe_has_bounds(name: str, absurd: float) -> None:
    with pytest.raises(ValueError, match=f"{name} .*must ") as caught:
        Recipe(**{name: absurd})  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)


def learning_rates(recipe: Recipe, num_steps: int) -> list[float]:
    network = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(network, recipe)
    schedule = make_schedule(optimizer, recipe, num_steps)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_step_schedule_warms_up_and_falls_twice() -> None:
    rates = learning_rates(Recipe(learning_rate=1.0, warmup_share=0.1, decay_shares=(0.5, 0.8)), 100)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[49] == pytest.approx(1.0)
    assert rates[50] == pytest.approx(0.1)
    assert rates[79] == pytest.approx(0.1)
    assert rates[80] == pytest.approx(0.01)


def test_cosine_schedule_warms_up_and_falls_to_nothing() -> None:
    rates = learning_rates(Recipe(learning_rate=1.0, warmup_share=0.1, schedule="cosine"), 100)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    # By hand: half a wave over 90 steps, one step before its end.
    assert rates[99] == pytest.approx((1 + math.cos(math.pi * 89 / 90)) / 2)
    assert sorted(rates[10:], reverse=True) == rates[10:]


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10])
@pytest.mark.parametrize("schedule", ["step", "one_cycle", "cosine"])
def test_schedules_fit_very_short_trainings(schedule: str, num_steps: int) -> None:
    recipe = Recipe(learning_rate=1.0, schedule=schedule)  # type: ignore[arg-type]  # one of the three
    rates = learning_rates(recipe, num_steps)
    assert all(0 < rate <= 1 for rate in rates)


def test_the_paper_s_recipe_has_the_numbers_of_the_reference() -> None:
    # tensorflow/tpu configs/spinenet.
    paper = OmegaConf.to_container(OmegaConf.load(Path(__file__).parents[3] / "experiments/recipe/paper.yaml"))
    assert isinstance(paper, dict)
    names = ("optimizer", "weight_decay", "gradient_clip_norm", "flip", "jitter")
    assert [paper[name] for name in names] == ["sgd", 4e-5, 10.0, True, [0.8, 1.2]]

    # Where nothing else is asked for, a recipe has them too.
    recipe = Recipe()
    assert [getattr(recipe, name) for name in names[:4]] == ["sgd", 4e-5, 10.0, True]
    for group in make_optimizer(torch.nn.Linear(2, 2), recipe).param_groups:
        assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.9, False, 0)


def test_weight_decay_leaves_biases_and_normalisation_alone() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    decayed, plain = make_optimizer(network, Recipe(weight_decay=0.5)).param_groups
    assert decayed["weight_decay"] == 0.5
    assert [p.ndim for p in decayed["params"]] == [4]
    assert plain["weight_decay"] == 0.0
    assert [p.ndim for p in plain["params"]] == [1, 1, 1]
