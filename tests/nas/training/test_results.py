"""A training as a person and trackers see it: points by step, none twice and none lost, however often it was killed."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from nas.tracking import TrackedRun, Tracker, Tracking
from nas.tracking.mlflow import MLflow
from nas.tracking.tensorboard import TensorBoard
from nas.tracking.wandb import WeightsAndBiases
from nas.training import view as view_module
from nas.training.journal import TrainingJournal, read_events
from nas.training.results import TrainingResults
from nas.training.view import TrainingView
from proxy_tasks.full_training.trainer import Standing
from tests.nas.tracking.test_tracking import offline_records, scalars

CONFIG = {"run": "full", "protocol": {"epochs": 4.0}}


def standing(step: int, ap: float | None = None) -> Standing:
    left, loss = 10.0 * (40 - step), 1 / step
    return Standing(step, 40, step / 10, images_per_s=25.0, seconds_left=left, loss=loss, best=ap)


def train(folder: Path, trackers: dict[str, Tracker], first: int, last: int) -> str:
    """Go from one step to another as a training does, with a line every four steps and a measurement every ten."""
    shown = io.StringIO()
    console = Console(file=shown, width=120)
    with TrainingJournal(folder) as journal:

        def track() -> Callable[[], None]:
            created = read_events(folder)[0]
            run = TrackedRun(folder, created["time"], created["config"], kind="training")
            tracking = Tracking(trackers, run, TrainingResults(folder).read, lambda line: None, pytest.fail)
            opened.append(tracking)
            return tracking.__enter__().update

        opened: list[Tracking] = []
        view = TrainingView(console, console, journal, CONFIG, track)
        view.started(first, 40, 100, 1000)
        for step in range(first + 1, last + 1):
            if step % 4 == first % 4:
                view.step(partial(standing, step, 0.1))
            if step % 10 == 0:
                metrics = {"ap": 0.3 if step == 20 else step / 100, "loss": 1 / step}
                view.evaluated(standing(step), metrics, "averaged", is_best=step != 30)
        opened[0].__exit__(None, None, None)

    return shown.getvalue()


def test_a_training_is_shown_with_its_speed_its_end_its_loss_and_its_ap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "LINE_EVERY_S", -1.0)
    lines = train(tmp_path / "full", {}, 0, 20).splitlines()
    assert lines[:2] == [
        "training on 100 images, 40 steps",
        "epoch 0.4, step 4 of 40: loss 0.2500, AP 0.1000, 25 images/s, 0:06:00 left",
    ]
    assert lines[-1] == "epoch 2.0: AP 0.3000 of the averaged weights, the best so far; loss 0.0500"


def test_a_training_that_was_killed_repeats_no_point_in_a_tracker_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr(view_module, "LINE_EVERY_S", -1.0)
    store = f"file:{tmp_path}/store"
    trackers: dict[str, Tracker] = {"tensorboard": TensorBoard(), "mlflow": MLflow(store)}
    folder = tmp_path / "full"
    train(folder, trackers, 0, 31)
    (file,) = (folder / "tensorboard" / "training").iterdir()
    before = file.read_bytes()

    # The last checkpoint was of step 17; what is said between the lines on record adds nothing.
    train(folder, trackers, 17, 40)
    assert file.read_bytes()[: len(before)] == before
    curves = scalars(folder / "tensorboard" / "training")
    lines = [4, 8, 12, 16, 20, 24, 28, 29, 33, 37]
    assert list(curves["images_per_s"]) == lines
    assert curves["ap"] == pytest.approx({10: 0.1, 20: 0.3, 30: 0.3, 40: 0.4})
    assert curves["best_ap"] == pytest.approx({10: 0.1, 20: 0.3, 30: 0.3, 40: 0.4})
    assert sorted(curves["loss"]) == sorted({*lines, 10, 20, 30, 40})

    # In MLflow too: one run, known by its first start, with the options of that.
    client = MlflowClient(store)
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert (run.info.status, run.info.run_name, run.data.params["protocol.epochs"]) == ("FINISHED", "full", "4.0")
    for name in ("images_per_s", "ap"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == list(curves[name])


@pytest.mark.long
def test_weights_and_biases_has_one_run_for_a_training_whose_curves_go_by_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(view_module, "LINE_EVERY_S", -1.0)
    train(tmp_path / "full", {"wandb": WeightsAndBiases(mode="offline")}, 0, 20)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    rows: list[dict[str, Any]] = [
        {item.key or item.nested_key[0]: float(item.value_json) for item in entry.history.item}
        for entry in offline_records(folder)
        if entry.HasField("history")
    ]
    assert [row["step"] for row in rows] == [4, 8, 10, 12, 16, 20, 20]
    assert [row["ap"] for row in rows if "ap" in row] == [0.1, 0.3]
