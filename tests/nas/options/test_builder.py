"""From a configuration to objects: every value checked, every mistake in one line that names the option."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import pytest

from foundation import InputError
from nas.options.builder import build
from search_space import ModelScale


@dataclass(frozen=True, slots=True)
class Goal:
    target: float | None = None
    form: Literal["hard", "soft"] = "hard"

    def __post_init__(self) -> None:
        if self.target is not None and self.target <= 0:
            raise ValueError(f"target must be above 0, got {self.target}")


class Goals:
    """Options that are open to any name, each a `Goal`."""

    def __init__(self, metric: str = "ap", **goals: Goal) -> None:
        self.metric = metric
        self.goals = goals


class Caps:
    """Options that are open to any name, each a number."""

    def __init__(self, **caps: float | None) -> None:
        self.caps = caps


@dataclass(frozen=True, slots=True)
class Whole:
    goals: Goals
    caps: Caps = field(default_factory=Caps)
    scale: ModelScale | None = None
    folder: Path | None = None


@runtime_checkable
class Named(Protocol):
    @property
    def metric(self) -> str: ...


@runtime_checkable
class Measured(Named, Protocol):
    @property
    def unit(self) -> str: ...


class OnlyNamed:
    metric = "ap"


class NamedByContract(Measured):
    """Inherits the contract, whose members do nothing, and has a part of it."""

    metric = "ap"


def takes_a_protocol(named: Named) -> Named:
    return named


@dataclass(frozen=True)
class Gauge:
    measured: Measured


class Words:
    """Options with names that every pydantic model has for something else."""

    def __init__(self, copy: int = 1, schema: str = "a", **more: int) -> None:
        self.given = {"copy": copy, "schema": schema, **more}


def test_an_open_parameter_takes_any_name_and_builds_its_value() -> None:
    built = build(Goals, {"metric": "ap50", "macs": {"target": "5e9"}, "energy_j": {"target": 3, "form": "soft"}}, "")
    assert built.metric == "ap50"
    assert built.goals == {"macs": Goal(5e9), "energy_j": Goal(3.0, "soft")}


def test_open_values_are_converted_to_their_type() -> None:
    assert build(Caps, {"macs": None, "energy_j": "3"}, "").caps == {"macs": None, "energy_j": 3.0}


def test_a_mapping_becomes_what_its_parameter_is_declared_as() -> None:
    node = {"goals": {"macs": {"target": 1}}, "caps": {"params": 2}, "scale": {"image_size_px": 64}, "folder": "a"}
    built = build(Whole, node, "")
    assert built.goals.goals == {"macs": Goal(1.0)}
    assert built.caps.caps == {"params": 2.0}
    assert built.scale == ModelScale(image_size_px=64)
    assert built.folder == Path.cwd() / "a"


def test_options_may_be_called_what_pydantic_s_models_have_as_well() -> None:
    built = build(Words, {"copy": "3", "json": 4, "_private": 5}, "")
    assert built.given == {"copy": 3, "schema": "a", "json": 4, "_private": 5}


@pytest.mark.parametrize(
    ("cls", "node", "message"),
    [
        (Goals, {"macs": {"target": "much"}}, "here.macs.target: Input should be a valid number"),
        (Goals, {"macs": {"target": -1}}, "here.macs: target must be above 0, got -1.0"),
        (Goals, {"macs": {"targt": 1}}, "here.macs: no option targt (did you mean target?); Goal has target, form"),
        (Goals, {"macs": 3}, "here.macs: Input should be"),
        (Goals, {"macs": {"target": ""}}, "here.macs.target: needs a value"),
        (Caps, {"macs": "much"}, "here.macs: Input should be a valid number"),
        (Caps, {"macs": {"target": 1}}, "here.macs: Input should be a valid number"),
        (Goal, {"energy_j": 3}, "here: no option energy_j; Goal has target, form"),
        (Whole, {"goals": {}, "scale": {"with": 1}}, "here.scale: no option with"),
        (Whole, {}, "here.goals: Field required"),
        (takes_a_protocol, {"named": {"metric": "ap"}}, "here.named: Input should be an instance of Named"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_option(cls: type[Any], node: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(cls, node, "here")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["OnlyNamed", "NamedByContract"])
def test_what_a_class_of_one_s_own_lacks_is_named(name: str) -> None:
    path = f"{__name__}.{name}"
    with pytest.raises(InputError, match=f"^{re.escape(f'here.measured: {path} has no unit, which Measured needs')}$"):
        build(Gauge, {"measured": {"_target_": path}}, "here")


def test_an_unknown_option_of_the_command_itself_lists_those_that_there_are() -> None:
    with pytest.raises(InputError, match=re.escape("no option golas (did you mean goals?); there are goals, caps")):
        build(Whole, {"golas": {}}, "")


def test_build_names_the_place_of_a_wrong_value() -> None:
    with pytest.raises(InputError, match=re.escape("scale.block_repeats: Input should be a valid integer")):
        build(ModelScale, {"block_repeats": "two"}, "scale")
