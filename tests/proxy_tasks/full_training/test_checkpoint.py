"""Checkpoints: the last two stay, a damaged one is passed over, and one of another training is refused."""

import os
import re
from pathlib import Path

import pytest
import torch

from foundation import InputError
from proxy_tasks.full_training.checkpoint import (
    FOLDER,
    Checkpoint,
    last_checkpoint,
    remove_unfinished,
    write_checkpoint,
)

OPTIONS = {"spec": "abc", "protocol.epochs": 350.0, "protocol.jitter": [0.5, 2.0]}


def write(run: Path, *steps: int) -> list[Path]:
    run.mkdir(exist_ok=True)
    return [write_checkpoint(run, Checkpoint(step, OPTIONS, {"weights": torch.full((50,), step)})) for step in steps]


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / FOLDER).iterdir())


def test_the_last_two_checkpoints_stay_and_the_last_is_read(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert last_checkpoint(run, OPTIONS) is None
    write(run, 8, 9, 10)
    assert names(run) == ["step-000000009.pt", "step-000000010.pt"]
    found = last_checkpoint(run, OPTIONS)
    assert found is not None
    assert (found.step, found.options, found.remark) == (10, OPTIONS, "")
    assert found.content["weights"].tolist() == [10] * 50


def test_a_damaged_checkpoint_is_passed_over_with_a_word_and_two_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = write(run, 9, 10)
    content = second.read_bytes()
    weights = torch.full((50,), 10).numpy().tobytes()
    second.write_bytes(content.replace(weights, bytes(len(weights))))
    found = last_checkpoint(run, OPTIONS)
    assert found is not None
    assert (found.step, found.remark) == (9, f"{second} is damaged: continuing from step 9")

    os.truncate(first, 100)
    message = re.escape(f"{second} is damaged, and no checkpoint in ")
    with pytest.raises(InputError, match=message):
        last_checkpoint(run, OPTIONS)


def test_a_full_disk_keeps_the_checkpoint_before(small_disk: Path) -> None:
    run = small_disk / "run"
    write(run, 9)
    with pytest.raises(InputError, match="No space left on device"):
        write_checkpoint(run, Checkpoint(10, OPTIONS, {"weights": torch.zeros(100_000)}))
    assert names(run) == ["step-000000009.pt"]
    assert last_checkpoint(run, OPTIONS) is not None


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    remove_unfinished(run)
    write(run, 9)
    (run / FOLDER / ".0123456789abcdef.part").write_bytes(b"half")
    remove_unfinished(run)
    assert names(run) == ["step-000000009.pt"]


def test_a_checkpoint_of_another_training_or_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (path,) = write(run, 9)
    with pytest.raises(InputError, match=re.escape("of a training with protocol.epochs=350.0, and now protocol.epo")):
        last_checkpoint(run, OPTIONS | {"protocol.epochs": 72.0})

    # Data is known by its content.
    data = {"training annotations": "1c07", "training images": "9be2"}
    write_checkpoint(run, Checkpoint(10, OPTIONS | {"data": data}, {}))
    message = "is of a training on other training images: their content had the hash 9be2, now it has aaaa; give anothe"
    with pytest.raises(InputError, match=re.escape(message)):
        last_checkpoint(run, OPTIONS | {"data": data | {"training images": "aaaa"}})
    (run / FOLDER / "step-000000010.pt").unlink()

    whole = torch.load(path, weights_only=True)
    for part, message in (
        ({"format": 2}, "is of format 2, this version reads format 1: update spinenet-search"),
        ({"kind": "trained detector"}, "is no checkpoint of a training"),
        ({"options": None}, "lacks parts of a checkpoint"),
    ):
        torch.save(whole | part, path)
        with pytest.raises(InputError, match=message):
            last_checkpoint(run, OPTIONS)
