"""The data that a run was begun on: it may be moved, but no other data takes its place."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import TINY_SEARCH, Run

SEARCH = (*TINY_SEARCH, "executor=local", "tracking=none", "fidelity.max_train_images=4")
STARTS = (("nas.search", ("num_trials=2",)), ("nas.replay", ("num_trials=1", "top=1")))


def test_a_run_never_goes_on_with_other_pictures(call: Run, tmp_path: Path) -> None:
    begun = call("nas.search", *SEARCH, "num_trials=1", "data.root=shapes")
    assert begun.returncode == 0, begun.stderr
    journal = tmp_path / "run" / "journal.jsonl"
    before = journal.read_bytes()

    # Two pictures exchange their names: nothing but what the files hold tells.
    images = tmp_path / "shapes" / "train2017"
    exchange(images / f"{0:012d}.jpg", images / f"{1:012d}.jpg")
    for command, options in STARTS:
        refused = call(command, *SEARCH, *options, "data.root=shapes")
        assert refused.returncode == 2
        assert "run was begun on other training images: their content had the hash " in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert journal.read_bytes() == before
    assert not (tmp_path / "run" / "replays").exists()


@pytest.mark.long
def test_data_may_move_between_two_starts_and_before_a_replay(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *SEARCH, "num_trials=1", "data.root=shapes").returncode == 0
    shutil.move(tmp_path / "shapes", tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to("elsewhere")
    for command, options in STARTS:
        done = call(command, *SEARCH, *options, "data.root=link/")
        assert done.returncode == 0, done.stderr
        assert "decoding" not in done.stdout

    # A run of an older version has no content on record, and resumes where its data lies.
    journal = tmp_path / "run" / "journal.jsonl"
    first, _, rest = journal.read_text().partition("\n")
    older = json.loads(first)
    assert list(older.pop("data")) == ["training annotations", "training images"]
    assert "data.root" in older.pop("data_places")
    journal.write_text(json.dumps(older) + "\n" + rest)
    (tmp_path / "shapes").symlink_to("elsewhere")
    done = call("nas.search", *SEARCH, "num_trials=3", "data.root=link/")
    assert done.returncode == 0, done.stderr


def exchange(one: Path, other: Path) -> None:
    spare = one.with_suffix(".spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
