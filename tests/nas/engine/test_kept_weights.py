"""Kept networks within a bound: what nothing starts from goes first, then what is promoted last."""

import os
from pathlib import Path

import pytest

from controllers import Proposal
from nas.engine.kept_weights import keep_within
from nas.record.journal import read_record
from nas.record.promotion import FOLDER
from nas.record.trial import Status, Trial
from search_space import published_spec
from tests.conftest import TINY_SEARCH, Run

SPEC = published_spec("spinenet-49")
MB = 1e-3
"""A megabyte in gigabytes."""


def trial(number: int, key: str, rung: int = 0, status: Status = "completed", reward: float | None = None) -> Trial:
    return Trial(number, Proposal((0,), rung=rung), SPEC, key, status, reward)


TRIALS = [
    trial(0, "aa", reward=0.5),
    trial(1, "bb", reward=0.4),
    trial(2, "cc", reward=0.3),
    trial(3, "dd", reward=0.2),
    trial(4, "ee", reward=0.1),
    trial(5, "aa", rung=1, reward=0.6),
    trial(6, "bb", rung=1, status="failed"),
    trial(7, "dd", rung=1, status="running"),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a network of a megabyte for each trial of the first rung, `bb`'s older than `aa`'s."""
    (tmp_path / FOLDER).mkdir()
    for age, key in enumerate(("cc", "aa", "dd", "ee", "bb")):
        path = tmp_path / FOLDER / f"{key}-rung0.pt"
        path.write_bytes(bytes(10**6))
        os.utime(path, (1e9 - age, 1e9 - age))
    return tmp_path


def kept(run: Path) -> set[str]:
    return {path.name.removesuffix("-rung0.pt") for path in (run / FOLDER).iterdir()}


@pytest.mark.parametrize(
    ("max_mb", "expected"),
    [
        (5, {"aa", "bb", "cc", "dd", "ee"}),
        (4.5, {"aa", "cc", "dd", "ee"}),  # two have been promoted: the older one
        (3, {"cc", "dd", "ee"}),
        (2, {"cc", "dd"}),  # then the lowest reward
        (0.001, {"dd"}),  # what a running trial starts from stays
    ],
)
def test_the_oldest_that_nothing_starts_from_goes_first_and_then_the_lowest_reward(
    run: Path, max_mb: float, expected: set[str]
) -> None:
    keep_within(run, max_mb * MB, TRIALS)
    assert kept(run) == expected


def test_what_is_not_ours_stays_and_no_link_is_followed(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.pt"
    outside.write_bytes(bytes(10**6))
    (run / FOLDER / "ff-rung0.pt").symlink_to(outside)
    (run / FOLDER / "mine.pt").write_bytes(bytes(10**6))
    keep_within(run, 0.001 * MB, TRIALS)
    assert kept(run) == {"dd", "ff", "mine.pt"}
    assert outside.exists()


def test_a_folder_that_is_a_link_out_of_the_run_is_left_alone(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / FOLDER).symlink_to(run / FOLDER)
    keep_within(other, 0.001 * MB, TRIALS)
    assert len(kept(run)) == 5


def test_a_run_that_keeps_nothing_has_nothing_to_delete(tmp_path: Path) -> None:
    keep_within(tmp_path, 1, TRIALS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_search_within_a_bound_promotes_what_it_has_lost_from_scratch_and_takes_another_bound_later(
    call: Run, tmp_path: Path
) -> None:
    search = (*TINY_SEARCH, "executor=local", "tracking=none", "promotion.num_rungs=2", "promotion.reduction=2")
    done = call("nas.search", *search, "promotion.max_weights_gb=0.00001", "num_trials=6")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "run" / FOLDER).glob("*.pt"))
    trials = read_record(tmp_path / "run").trials.values()
    promoted = [trial for trial in trials if trial.rung]
    assert promoted
    assert {trial.metrics["epochs_before"] for trial in promoted} == {0.0}

    done = call("nas.search", *search, "promotion.max_weights_gb=null", "num_trials=10")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / FOLDER).glob("*.pt"))
