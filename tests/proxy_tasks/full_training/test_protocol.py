"""The published protocols: their steps and rates are those of the reference."""

import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from nas.options.command_line import compose
from proxy_tasks.full_training.protocol import TrainingProtocol
from proxy_tasks.training.optimization import make_optimizer, make_schedule
from search_space import ModelScale

PROTOCOLS = Path(__file__).parents[3] / "experiments" / "protocol"
COCO_IMAGES = 118_287


def protocol(name: str, **changes: object) -> TrainingProtocol:
    values = OmegaConf.to_container(OmegaConf.load(PROTOCOLS / f"{name}.yaml"))
    assert isinstance(values, dict)
    return TypeAdapter(TrainingProtocol).validate_python({**values, **changes})


def rates(one: TrainingProtocol, num_images: int) -> list[float]:
    optimizer = make_optimizer(torch.nn.Linear(2, 2), one.recipe(num_images))
    schedule = make_schedule(optimizer, one.recipe(num_images), one.num_steps(num_images))
    found = []
    for _ in range(one.num_steps(num_images)):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


# tensorflow/tpu configs/spinenet: steps in all, and after which the rate falls; 463 steps an epoch, batch 256.
REFERENCE = [
    ("a", {}, 115_750, (101_860, 111_120)),
    ("b", {}, 162_050, (148_160, 157_420)),
    ("c", {}, 231_500, (217_610, 226_870)),
    ("c", {"epochs": 400}, 185_200, (171_310, 180_570)),
    ("c", {"epochs": 600}, 277_800, (263_910, 273_170)),
]


@pytest.mark.parametrize(("name", "changes", "num_steps", "falls"), REFERENCE)
def test_steps_and_falls_are_those_of_the_reference(
    name: str, changes: dict[str, object], num_steps: int, falls: tuple[int, int]
) -> None:
    one = protocol(name, **changes)
    recipe = one.recipe(COCO_IMAGES)
    assert one.num_steps(COCO_IMAGES) == num_steps
    # As `make_schedule` counts them.
    assert tuple(round(share * num_steps) for share in recipe.decay_shares) == falls
    assert round(recipe.warmup_share * num_steps) == 2000


@pytest.mark.long
@pytest.mark.parametrize(("name", "changes", "num_steps", "falls"), REFERENCE)
def test_the_rate_at_each_step_is_that_of_the_reference(
    name: str, changes: dict[str, object], num_steps: int, falls: tuple[int, int]
) -> None:
    found = rates(protocol(name, **changes), COCO_IMAGES)
    assert len(found) == num_steps
    check_rates(found, 2000, falls)


def test_the_rate_warms_up_and_falls_as_the_reference_s() -> None:
    # A tenth of the steps: 46 an epoch.
    one = protocol("b", warmup_steps=200)
    found = rates(one, 46 * 256)
    check_rates(found, 200, (320 * 46, 340 * 46))


def check_rates(found: list[float], num_warmup: int, falls: tuple[int, int]) -> None:
    """Compare with tensorflow/tpu modeling/learning_rates.py: linear from 0.0067 to 0.28, then steps."""
    for step in (0, 1, num_warmup // 2, num_warmup - 1):
        # torch multiplies from step to step, so that rounding adds up.
        assert found[step] == pytest.approx(0.0067 + (0.28 - 0.0067) * step / num_warmup, rel=1e-6)
    for step, rate in (
        (num_warmup, 0.28),
        (falls[0] - 1, 0.28),
        (falls[0], 0.028),
        (falls[1] - 1, 0.028),
        (falls[1], 0.0028),
        (-1, 0.0028),
    ):
        assert found[step] == pytest.approx(rate, rel=1e-6), step


def test_the_protocols_differ_as_in_the_paper() -> None:
    a, b, c = (protocol(name) for name in "abc")
    # SpineNet, section 4 and configs/spinenet.
    assert [one.epochs for one in (a, b, c)] == [250, 350, 500]
    assert [one.jitter for one in (a, b, c)] == [(0.8, 1.2), (0.5, 2.0), (0.5, 2.0)]
    assert [one.activation for one in (a, b, c)] == ["relu", "relu", "silu"]
    assert [one.stochastic_depth for one in (a, b, c)] == [0, 0, 0.2]
    for one in (a, b, c):
        recipe = one.recipe(COCO_IMAGES)
        assert (recipe.optimizer, recipe.weight_decay, recipe.gradient_clip_norm) == ("sgd", 4e-5, 10.0)
        assert (recipe.learning_rate, one.norm_momentum, recipe.flip) == (0.28, 0.99, True)
        # tensorflow/tpu's first release, and tensorflow/models.
        assert one.norm_epsilon == 1e-3

    scale = ModelScale(activation="silu", stochastic_depth=0.1)
    assert c.scaled(ModelScale()) == ModelScale(activation="silu", stochastic_depth=0.2)
    assert protocol("finetune").scaled(scale) == scale


def test_mask_rcnn_is_trained_by_protocol_b_and_with_spinenet_190_by_a_longer_one() -> None:
    def composed(name: str) -> TrainingProtocol:
        return TypeAdapter(TrainingProtocol).validate_python(compose("train", [f"protocol={name}"])["protocol"])

    # tensorflow/tpu configs/spinenet/*_mrcnn.yaml: 162,050 steps; 400 epochs, jitter, activation and skipping of 190.
    assert composed("mask_rcnn") == protocol("b")
    longer = protocol("b", epochs=400, learning_rate=0.3, jitter=(0.1, 2.0), activation="silu", stochastic_depth=0.2)
    assert composed("mask_rcnn_190") == longer


def test_the_rate_follows_the_batch() -> None:
    assert protocol("b", batch_size=64).recipe(COCO_IMAGES).learning_rate == pytest.approx(0.07)
    assert protocol("b", batch_size=64).recipe(COCO_IMAGES).warmup_from == pytest.approx(0.0067 / 0.28)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be from 1e-06 to 1e+06 ("),
        ({"epochs": 20}, "decay_epochs must lie between 0 and epochs, as they count from the end, got [30.0, 10.0]"),
        ({"warmup_rate": 1}, "warmup_rate rises to learning_rate, so it must not be higher, got 1.0 and 0.28"),
        ({"norm_epsilon": 0}, "norm_epsilon must be from 1e-12 to 1 ("),
        ({"norm_momentum": 1.0}, "norm_momentum must be from 0 to 0.999999 ("),
        ({"batch_size": 1}, "batch_size must be from 2 to 65536 ("),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be from 0 to below 1, got 1.0"),
    ],
)
def test_impossible_protocols_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        protocol("b", **changes)


def test_a_warm_up_that_outlasts_a_small_set_is_refused_with_the_steps_that_there_are() -> None:
    message = "warmup_steps=2000 must be less than 640, the steps before the rate falls: 300 images in batches of 256"
    with pytest.raises(ValueError, match=re.escape(message)):
        protocol("b").recipe(300)
    # 40 photos are enough for what is made for few.
    assert protocol("finetune").num_steps(40) == 150
    protocol("finetune").recipe(40)


IMAGENET_IMAGES = 1_281_167


@pytest.mark.parametrize(
    ("name", "activation", "stochastic_depth", "label_smoothing"),
    [("classes", "relu", 0.0, 0.0), ("classes_improved", "silu", 0.2, 0.1)],
)
def test_classifiers_are_trained_by_the_numbers_of_the_reference(
    name: str, activation: str, stochastic_depth: float, label_smoothing: float
) -> None:
    # tensorflow/tpu configs/spinenet/spinenet49_classification.yaml and configs/classification_config.py.
    one = protocol(name)
    recipe = one.recipe(IMAGENET_IMAGES)
    assert recipe.learning_rate == pytest.approx(1.6)
    assert (recipe.weight_decay, recipe.schedule) == (1e-4, "cosine")
    assert (one.batch_size, one.norm_momentum, one.norm_epsilon) == (4096, 0.9, 1e-5)
    assert (one.activation, one.stochastic_depth) == (activation, stochastic_depth)
    assert one.classification is not None
    assert one.classification.label_smoothing == label_smoothing
    # Whole batches in each of 200 epochs: 43 steps more than the reference's 62,557.
    assert one.num_steps(IMAGENET_IMAGES) == 62_600
    assert round(recipe.warmup_share * 62_600) == 1564


def test_options_of_classifiers_are_no_options_of_other_trainings() -> None:
    # A detector's checkpoints and files say nothing of them.
    assert not [key for key in protocol("b").plain() if "classification" in key]
    assert protocol("classes").plain()["classification.crop_area"] == [0.08, 1.0]
