"""`python -m nas.search --cost`, as a user has it."""

import re
from pathlib import Path

import pytest

from tests.conftest import TINY_DETECTOR, TINY_LANDSCAPE, TINY_SEARCH, Run

SHORTER = ("promotion.num_rungs=3", "promotion.reduction=3", "stopping.shares=[0.25]")


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of the table by the name of their row."""
    found = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in found if len(cells) > 3}


def test_the_cost_is_known_before_a_search_and_nothing_is_trained(call: Run, tmp_path: Path) -> None:
    asked = ("experiment=quickstart", "run=run", *TINY_DETECTOR, *SHORTER, "num_trials=117", "fidelity.epochs=1")
    done = call("nas.search", *asked, "--cost")
    assert (done.returncode, done.stderr) == (0, "")
    # 24 images, of which 8 are held out. Of 61 trials with a limit at least 1 - 0.5 * 0.75 is done.
    assert rows(done.stdout) == {
        "trainings": ["epochs each", "epochs", "image passes", "of the plain search"],
        "trials": ["81", "1", "58.1 to 81", "930 to 1.3K", "8% to 11%"],
        "promoted, rung 1": ["27", "2", "54", "864", "7%"],
        "promoted, rung 2": ["9", "6", "54", "864", "7%"],
        "baselines": ["2", "1", "2", "32", "0%"],
        "all": ["119", "168 to 191", "2.69K to 3.06K", "23% to 26%"],
        "plain search": ["83", "9", "731", "11.7K", "100%"],
    }
    assert "Hours are not known before a trial is on record" in done.stdout
    assert "at most 28% of the first rung" in done.stdout
    assert not (tmp_path / "run").exists()

    few = call("nas.search", *asked, "fidelity.max_train_images=10", "--cost")
    assert rows(few.stdout)["plain search"][3] == "7.31K"


@pytest.mark.long
def test_hours_are_at_the_rate_of_the_trials_on_record(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=1").returncode == 0
    journal = (tmp_path / "run" / "journal.jsonl").read_bytes()
    done = call("nas.search", "run=run", "num_trials=1000", "--cost")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"Hours are at the rate of the trial on record, [\d.]+ s each, [\d.]+ images a second", done.stdout
    )
    assert len(rows(done.stdout)["trials"]) == 6
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == journal

    other = call("nas.search", *TINY_SEARCH, "executor=local", "fidelity.epochs=2", "--cost")
    assert other.returncode == 2
    assert "was made with fidelity.epochs=0.5, now it is 2" in other.stderr


def test_a_task_without_images_has_epochs(call: Run) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, "--cost")
    assert rows(done.stdout)["plain search"] == ["5", "5", "25", "100%"]


def test_a_flag_of_another_command_is_unknown(call: Run) -> None:
    done = call("nas.prepare", "--cost")
    assert (done.returncode, done.stderr) == (2, "error: unknown flag --cost; --help lists flags and options\n")
