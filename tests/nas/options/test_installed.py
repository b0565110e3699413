"""Choices that installed packages add: found, listed and explained as ours; a broken one harms those alone who ask."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from foundation import InputError
from nas.options.command_help import group_help
from nas.options.command_line import compose
from search_space import ScalePermutedSpace, resnet_seed
from search_space.kinds import added_kinds, kind_named, remove_kind

Install: TypeAlias = Callable[[str, str, Mapping[str, str]], None]
YAML = "# Climbs.\n_target_: controllers.RandomSearch\nspace: ${space}\n# Steps that it takes.\nsteps: 7\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution on Python's path as pip leaves one: its entry points, and files of a package."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, declared: str, files: Mapping[str, str]) -> None:
        information = tmp_path / f"{name}-1.5.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (information / "entry_points.txt").write_text(declared)
        for path, content in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    return put


def test_a_choice_of_an_installed_package_is_taken_and_listed_and_nothing_of_it_is_imported(install: Install) -> None:
    files = {"controller/climb.yaml": YAML, "__init__.py": "raise RuntimeError('imported')"}
    install("climbing", "[spinenet_search.controllers]\nclimb = climbing\n", files)
    config = compose("config", ["controller=climb", "controller.steps=9"])
    assert config["controller"]["steps"] == 9
    assert "Steps that it takes." in group_help("config", "controller", (), 100)
    with pytest.raises(InputError, match=r"unknown option controller\.stebs; did you mean controller\.steps\?"):
        compose("config", ["controller=climb", "controller.stebs=9"])


def test_a_choice_of_our_own_is_not_replaced_and_a_folder_that_is_named_comes_first(
    install: Install, tmp_path: Path
) -> None:
    declared = "[spinenet_search.controllers]\nrandom = climbing\nclimb = climbing\n"
    install("climbing", declared, {"controller/random.yaml": YAML, "controller/climb.yaml": YAML})
    assert "steps" not in compose("config", ["controller=random"])["controller"]

    mine = tmp_path / "mine" / "controller"
    mine.mkdir(parents=True)
    (mine / "climb.yaml").write_text(YAML.replace("7", "8"))
    assert compose("config", ["controller=climb"])["controller"]["steps"] == 7
    assert compose("config", ["--config-dir", str(mine.parent), "controller=climb"])["controller"]["steps"] == 8
    assert "steps=8" in group_help("config", "controller", (mine.parent,), 100)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere", r"controller=climb: there is no package nowhere, which climbing 1\.5 names for controller=climb"),
        (
            "climbing",
            r"there is no controller/climb\.yaml in the package climbing, which climbing 1\.5 names for controller=",
        ),
    ],
)
def test_a_broken_one_is_named_where_it_is_asked_for_and_harms_nobody_else(
    install: Install, value: str, message: str
) -> None:
    install("climbing", f"[spinenet_search.controllers]\nclimb = {value}\n", {"controller/other.yaml": YAML})
    assert compose("config", ["controller=random"])["controller"]["_target_"] == "controllers.RandomSearch"
    with pytest.raises(InputError, match=message):
        compose("config", ["controller=climb"])


KIND = (
    "from search_space.kinds import RESNET, BlockKind\n"
    "FLAT = BlockKind('{name}', RESNET, 'f', 'cross', expansion=1, cost=1, unit='kinds.Flat')\n"
)


def test_a_block_kind_of_an_installed_package_is_known_once_a_spec_names_it(install: Install) -> None:
    declared = "[spinenet_search.block_kinds]\nflat = flat_kinds.kinds:FLAT\n"
    install("flat_kinds", declared, {"kinds.py": KIND.format(name="flat")})
    try:
        config = compose("config", ["space.kinds=[bottleneck,flat]"])
        assert config["space"]["kinds"] == ["bottleneck", "flat"]
        assert kind_named("flat").letter == "f"
        assert [kind.name for kind in added_kinds()] == ["flat"]
    finally:
        remove_kind("flat")


@pytest.mark.parametrize(
    ("package", "content", "message"),
    [
        ("torn", "1 / 0", r"kind bent, which torn offers, cannot be imported from torn\.kinds:FLAT: division by zero"),
        ("named", KIND.format(name="other"), r"kind bent, which named offers, is no BlockKind of that name"),
    ],
)
def test_a_block_kind_that_cannot_be_had_is_named_with_its_package(
    install: Install, package: str, content: str, message: str
) -> None:
    install(package, f"[spinenet_search.block_kinds]\nbent = {package}.kinds:FLAT\n", {"kinds.py": content})
    with pytest.raises(ValueError, match=message):
        kind_named("bent")
    with pytest.raises(ValueError, match=message):
        ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("bottleneck", "bent"))
