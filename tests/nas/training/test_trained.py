"""Full trainings in a report: real journals of trainings, beside the search that found their networks."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation import InputError
from nas.reporting import page_of, read_runs
from nas.training.trained import trained_networks
from tests.nas.reporting.reported_runs import HOSTILE, write_run


def training(folder: Path, spec: str, trial: int | None, *, is_finished: bool = True) -> Path:
    """Write the journal of a training that was stopped once for an hour; each of its two parts took 100 s."""
    config = {"spec": spec, "trial": trial, "model": None, "weights": None}
    events: list[dict[str, Any]] = [
        {"event": "started", "time": 0.0, "step": 0, "num_steps": 20, "config": config},
        {"event": "progress", "time": 60.0, "step": 5, "epoch": 5.0, "loss": 1.0, "images_per_s": 9.0},
        {"event": "evaluated", "time": 100.0, "step": 10, "epoch": 10.0, "metric": "ap", "metrics": {"ap": 0.41}},
        {"event": "started", "time": 3700.0, "step": 10, "num_steps": 20, "config": config},
        {"event": "evaluated", "time": 3800.0, "step": 20, "epoch": 20.0, "metric": "ap", "metrics": {"ap": 0.39}},
    ]
    events += [{"event": "finished", "time": 3800.0}] if is_finished else []
    folder.mkdir(parents=True)
    (folder / "training.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def test_a_training_stands_beside_the_reward_of_its_trial(tmp_path: Path) -> None:
    run = write_run(tmp_path / "search", [0.2, 0.3, None])
    training(tmp_path / "winners" / "search-1", str(run), 1)
    training(tmp_path / "winners" / "search-0", str(run), None, is_finished=False)
    best, first = trained_networks([tmp_path / "winners"])[::-1]
    assert (best.name, best.trial, best.figure, best.num_epochs, best.seconds) == ("search-1", 1, ("AP", 0.41), 20, 200)
    assert (first.is_finished, best.is_finished) == (False, True)

    page = page_of(read_runs([run]), 3, trained=[best, first])
    assert f"<td>search-1</td><td>trial 1 of {run}</td>" in page
    cells = "".join(f'<td class="number">{text}</td>' for text in ("0.3000", "AP 0.4100", "20", "3 min 20 s"))
    assert cells in page
    assert "20, not ended" in page
    assert "Trained in full" not in page_of(read_runs([run]), 3)


def test_one_training_is_named_by_its_folder_and_what_holds_none_is_one_line(tmp_path: Path) -> None:
    one = training(tmp_path / "one", "spinenet-49", None)
    assert [network.network for network in trained_networks([one, one])] == ["spinenet-49"]
    with pytest.raises(InputError, match=r"trained: .*empty holds no training of nas\.train, nor folders that do"):
        trained_networks([tmp_path / "empty"])


def test_names_on_record_are_only_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "search", [0.2])
    training(tmp_path / "one", HOSTILE, 0)
    assert HOSTILE not in page_of(read_runs([run]), 3, trained=trained_networks([tmp_path / "one"]))
