"""Results in TensorBoard, MLflow and Weights & Biases, read back by their own readers."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from nas.options.invocation import python_command
from nas.record.journal import Journal, read_record
from nas.record.record import Record
from nas.tracking import Result, TrackedRun, Tracker, Tracking, feed
from nas.tracking.base import check_installed
from nas.tracking.mlflow import MLflow
from nas.tracking.results import ResultReader
from nas.tracking.tensorboard import MAX_TRIALS_WITH_PAGES, TensorBoard
from nas.tracking.wandb import WeightsAndBiases
from search_space.spec import short_form
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run
from tests.nas.engine.test_loop import evaluate, make_search


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return every curve in a folder of event files, as TensorBoard's own reader has it: values by step."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def best_rewards(record: Record) -> dict[int, float]:
    rewards = [record.trials[number].reward or 0.0 for number in record.told]
    return {number: max(rewards[:number]) for number in range(1, len(rewards) + 1)}


def show(run: Path, tracker: Tracker) -> list[str]:
    """Show a run that is on disk, as the start of a search does; return what was said."""
    record, said = read_record(run), list[str]()
    tracked = TrackedRun(run, record.created.time, record.created.config, len(record.trials))
    with Tracking({"it": tracker}, tracked, ResultReader(record).read, said.append, said.append):
        pass
    return said


def test_a_search_that_trains_is_shown_in_tensorboard_without_being_asked(call: Run, tmp_path: Path) -> None:
    ended = call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=3")
    assert "-m tensorboard.main --logdir run/tensorboard" in ended.stdout
    record = read_record(tmp_path / "run")
    search = scalars(tmp_path / "run" / "tensorboard" / "search")
    assert search["search/best_reward"] == pytest.approx(best_rewards(record))
    assert search["trials/completed"] == {1: 1, 2: 2, 3: 3}
    for trial in record.trials.values():
        page = scalars(tmp_path / "run" / "tensorboard" / "trials" / f"{trial.number:05d}")
        assert list(page["loss_curve"].values()) == pytest.approx(list(trial.loss_curve))
        assert max(page["loss_curve"]) == 100
        assert {name: page[name][trial.number + 1] for name in trial.metrics} == pytest.approx(dict(trial.metrics))
        assert page["reward"] == pytest.approx({trial.number + 1: trial.reward})


def test_event_files_are_not_written_through_a_link(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "tracking=none").returncode == 0
    outside = tmp_path / "outside"
    (outside / "trials" / "00000").mkdir(parents=True)
    (tmp_path / "run" / "tensorboard").symlink_to(outside)
    (said,) = show(tmp_path / "run", TensorBoard())
    assert "tensorboard is a link, which is not followed" in said
    assert [str(path.relative_to(outside)) for path in sorted(outside.rglob("*"))] == ["trials", "trials/00000"]


def test_the_table_of_hyperparameters_says_what_each_architecture_is(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE)
    trial = read_record(tmp_path / "run").trials[3]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "trials" / "00003")).Reload()
    (content,) = [
        plugin_data_pb2.HParamsPluginData.FromString(data)
        for tag, data in events.PluginTagToContent("hparams").items()
        if tag.endswith("session_start_info")
    ]
    row = content.session_start_info.hparams
    block = trial.spec.blocks[7]
    assert row["spec"].string_value == short_form(trial.spec.blocks)
    assert row["block07.level"].number_value == block.level
    assert row["block07.kind"].string_value == block.kind
    assert row["block07.parents"].string_value == "+".join(map(str, block.parents))


@pytest.mark.slow
def test_tensorboard_itself_serves_the_curves_and_the_table(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE)
    record = read_record(tmp_path / "run")
    command = [sys.executable, "-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(
        [*command, "--logdir", "run/tensorboard"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stderr is not None
        address = next(found[0] for line in server.stderr if (found := re.search(r"http://127.0.0.1:\d+/", line)))

        def ask(path: str, question: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  # JSON
            body = None if question is None else json.dumps(question).encode()
            request = urllib.request.Request(f"{address}data/{path}", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as reply:
                return json.load(reply)

        until = time.monotonic() + 30
        while len(ask("runs")) < 6 and time.monotonic() < until:
            time.sleep(0.1)
        curve = ask("plugin/scalars/scalars?run=search&tag=search/best_reward")
        assert {step: value for _, step, value in curve} == pytest.approx(best_rewards(record))
        experiment = ask("plugin/hparams/experiment", {"experimentName": ""})
        columns = [{"hparam": info["name"]} for info in experiment["hparamInfos"]]
        metrics = [{"metric": info["name"]} for info in experiment["metricInfos"]]
        assert {"hparam": "block00.level"} in columns
        groups = ask(
            "plugin/hparams/session_groups",
            {
                "experimentName": "",
                "allowedStatuses": ["STATUS_SUCCESS"],
                "colParams": [*columns, *metrics],
                "startIndex": 0,
                "sliceSize": 10,
            },
        )
        rows = {row["hparams"]["key"]: row for row in groups["sessionGroups"]}
        assert rows.keys() == {trial.key for trial in record.trials.values()}
        for trial in record.trials.values():
            values = {one["name"]["tag"]: one["value"] for one in rows[trial.key]["metricValues"]}
            assert values["reward"] == pytest.approx(trial.reward)
    finally:
        server.terminate()
        server.communicate()


def test_a_resumed_run_is_shown_from_its_first_result(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE)
    folder = tmp_path / "run" / "tensorboard"
    (file,) = (folder / "search").iterdir()
    before = file.read_bytes()
    # What a kill may leave: a line cut short, and a trial that was told and not shown.
    file.write_bytes(before[:-7])
    (page,) = (folder / "trials" / "00004").iterdir()
    page.unlink()
    call("nas.search", *TINY_LANDSCAPE, "num_trials=8")
    # An open TensorBoard reads on where it was.
    assert file.read_bytes()[: len(before)] == before
    assert scalars(folder / "search")["search/best_reward"] == pytest.approx(
        best_rewards(read_record(tmp_path / "run"))
    )
    assert page.is_file()
    assert len(list((folder / "trials").iterdir())) == 8


def test_pages_of_a_run_that_was_deleted_do_not_stay(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE)
    (tmp_path / "run" / "journal.jsonl").unlink()
    call("nas.search", *TINY_LANDSCAPE, "num_trials=2", "seed=7")
    folder = tmp_path / "run" / "tensorboard" / "trials"
    assert sorted(path.name for path in folder.iterdir()) == ["00000", "00001"]
    reward = read_record(tmp_path / "run").trials[0].reward
    assert scalars(folder / "00000")["reward"] == pytest.approx({1: reward})


def test_runs_that_begin_together_in_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    first, second = (TrackedRun(tmp_path, 1.0, {"seed": seed}, 9) for seed in (0, 1))
    assert first.identity != second.identity
    assert first.identity == TrackedRun(tmp_path / "moved", 1.0, {"seed": 0}, 99).identity


def test_a_folder_of_its_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leftovers").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="needs the package leftovers"):
        check_installed("leftovers")


def test_a_replay_is_shown_too(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE)
    ended = call("nas.replay", *TINY_LANDSCAPE, "top=2", "fidelity.epochs=9")
    (folder,) = (tmp_path / "run" / "replays").iterdir()
    assert f"Curves:  {python_command()} -m tensorboard.main --logdir run/replays/{folder.name}" in ended.stdout
    assert len(scalars(folder / "tensorboard" / "search")["search/reward"]) == 2


def test_trials_that_were_never_trained_have_no_page_and_are_counted(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE, "controller=random", "limits.macs=1.7e10", "num_trials=30")
    statuses = [trial.status for trial in read_record(tmp_path / "run").trials.values()]
    assert set(statuses) == {"completed", "rejected"}
    folder = tmp_path / "run" / "tensorboard"
    assert len(list((folder / "trials").iterdir())) == statuses.count("completed")
    assert scalars(folder / "search")["trials/rejected"][30] == statuses.count("rejected")


def test_results_are_handed_over_in_the_order_in_which_they_came_each_with_its_time(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, num_trials=3)
        jobs = [search.start_trial() for _ in range(3)]
        for job in reversed(jobs):
            assert job is not None
            search.finish_trial(evaluate(job))
        results = ResultReader(journal.record).read()
    assert [(result.number, result.trial and result.trial.number) for result in results] == [(1, 2), (2, 1), (3, 0)]
    assert [result.time for result in results] == journal.record.told_at


def test_a_tracker_that_fails_ends_no_search_and_the_next_start_makes_up_for_it(call: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("in the way")
    ended = call("nas.search", *TINY_LANDSCAPE)
    assert ended.returncode == 0
    assert "no more is shown in tensorboard (NotADirectoryError: " in ended.stdout
    record = read_record(tmp_path / "run")
    assert len(record.told) == 5
    (tmp_path / "run" / "tensorboard").unlink()
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    assert len(scalars(tmp_path / "run" / "tensorboard" / "search")["search/best_reward"]) == 5


class Stuck:
    """A tracker whose server does not answer before it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.taken: list[int] = []

    def open(self, run: TrackedRun) -> "Stuck":
        return self

    def hint(self, run: Path) -> str:
        return ""

    def add(self, result: Result) -> None:
        self.let_go.wait()
        self.taken.append(result.number)

    def close(self) -> None:
        pass


def test_a_tracker_that_hangs_holds_nothing_up(call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("nas.search", *TINY_LANDSCAPE, "tracking=none")
    assert not (tmp_path / "run" / "tensorboard").exists()
    monkeypatch.setattr(feed, "SAY_AFTER_S", 0.1)
    monkeypatch.setattr(feed, "WAIT_AT_END_S", 0.2)
    stuck = Stuck()
    said = show(tmp_path / "run", stuck)
    assert said[0].startswith("handing the last results to it")
    assert said[1].startswith("it did not take all results")
    stuck.let_go.set()
    patient = Stuck()
    patient.let_go.set()
    assert show(tmp_path / "run", patient) == []
    assert patient.taken == [1, 2, 3, 4, 5]


@pytest.mark.long
def test_mlflow_has_a_run_for_the_search_and_one_for_each_trial(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = f"file:{tmp_path}/store"
    options = (*TINY_SEARCH, "executor=local", "tracking=[tensorboard,mlflow]", f"tracking.mlflow.uri={store}")
    ended = call("nas.search", *options, "num_trials=2")
    assert f"-m mlflow ui --backend-store-uri {store}" in ended.stdout
    client = MlflowClient(store)
    (experiment,) = [one for one in client.search_experiments() if one.name == "spinenet-search"]

    def runs() -> tuple[Any, dict[str, Any]]:
        found = client.search_runs([experiment.experiment_id])
        (search,) = [one for one in found if "nas.run" in one.data.tags]
        below = [one for one in found if one.data.tags.get("mlflow.parentRunId") == search.info.run_id]
        assert len(found) == 1 + len(below) == 1 + len({one.data.tags["nas.trial"] for one in below})
        return search, {one.data.tags["nas.trial"]: one for one in below}

    # As if a kill had come while the second trial was written.
    client.update_run(runs()[1]["1"].info.run_id, status="RUNNING")
    call("nas.search", *options, "num_trials=3")
    record = read_record(tmp_path / "run")
    search, below = runs()
    assert search.info.status == "FINISHED"
    assert search.data.params["controller.population_size"] == "2"
    history = client.get_metric_history(search.info.run_id, "search/best_reward")
    assert len(history) == 3
    assert {point.step: point.value for point in history} == pytest.approx(best_rewards(record))
    assert below.keys() == {"0", "1", "2"}
    for trial in record.trials.values():
        run = below[str(trial.number)]
        assert run.info.status == "FINISHED"
        assert run.data.params["spec"] == short_form(trial.spec.blocks)
        assert run.data.metrics["reward"] == pytest.approx(trial.reward)
        losses = sorted(client.get_metric_history(run.info.run_id, "loss_curve"), key=lambda point: point.step)
        assert [point.value for point in losses] == pytest.approx(list(trial.loss_curve))
    assert (tmp_path / "run" / "tensorboard" / "search").is_dir()


def test_a_trial_that_failed_is_a_failed_run_in_mlflow(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=1", "recipe.learning_rate=1e30", "tracking=none")
    assert show(tmp_path / "run", MLflow(f"file:{tmp_path}/store")) == []
    client = MlflowClient(f"file:{tmp_path}/store")
    found = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    assert [run.info.status for run in found if "nas.trial" in run.data.tags] == ["FAILED"]


def offline_records(folder: Path) -> list[Any]:
    """Return what Weights & Biases wrote into one of its files: LevelDB's log format, of one block or more."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record as Entry  # type: ignore[attr-defined]  # made at run time

    # The end of a run does not wait for the process that writes its file; the end of that process does. The next
    # run of this test process then writes where it is told to, and not where the first one did.
    wandb.teardown()
    (file,) = folder.glob("*.wandb")
    data, at, part, entries = file.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            entries.append(Entry.FromString(part))
            part = b""
    return entries


@pytest.mark.long
def test_weights_and_biases_has_a_run_for_the_search_and_one_for_each_trial(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(feed, "SAY_AFTER_S", 60.0)
    call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=2", "tracking=none")
    tracker = WeightsAndBiases(mode="offline")
    assert show(tmp_path / "run", tracker) == []
    assert show(tmp_path / "run", tracker) == []
    record = read_record(tmp_path / "run")
    identity = TrackedRun(tmp_path / "run", record.created.time, record.created.config, 1).identity
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    histories: dict[str, list[dict[str, float]]] = {}
    for folder in folders:
        entries = offline_records(folder)
        name = folder.name.rpartition(identity)[2]
        rows = [entry.history.item for entry in entries if entry.HasField("history")]
        keys = [[(item.key or item.nested_key[0], float(item.value_json)) for item in row] for row in rows]
        histories[name] = [dict(row) for row in keys]
    # The run of the search is whole in each of its folders: the last that is sent takes the place of the others.
    assert len(folders) == 4
    assert histories.keys() == {"", "-trial-0", "-trial-1"}
    assert [row["search/best_reward"] for row in histories[""]] == list(best_rewards(record).values())
    losses = [row["loss_curve"] for row in histories["-trial-1"] if "loss_curve" in row]
    assert losses == pytest.approx(list(record.trials[1].loss_curve))


def test_weights_and_biases_asks_nobody_for_a_key(call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    ended = call("nas.search", *TINY_LANDSCAPE, "tracking=wandb")
    assert ended.returncode == 0
    assert "no more is shown in wandb (ValueError: nobody is logged in; run wandb login, or" in ended.stdout
    assert len(read_record(tmp_path / "run").told) == 5


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_named_before_anything_is_trained(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    refused = call("nas.search", *TINY_LANDSCAPE, f"tracking={package}")
    assert refused.returncode == 2
    assert (
        f"tracking.{package}: needs the package {package}: pip install 'spinenet-search[{package}]'" in refused.stderr
    )
    assert not (tmp_path / "run").exists()


def test_the_curves_of_the_search_alone_where_asked_for(call: Run, tmp_path: Path) -> None:
    call("nas.search", *TINY_LANDSCAPE, "tracking.tensorboard.per_trial=false")
    assert [path.name for path in (tmp_path / "run" / "tensorboard").iterdir()] == ["search"]


def test_a_run_that_grows_long_gets_no_more_pages_until_they_are_asked_for(call: Run, tmp_path: Path) -> None:
    def pages() -> list[str]:
        return sorted(path.name for path in (tmp_path / "run" / "tensorboard" / "trials").iterdir())

    # A search in which every trial fails stops soon, however many it is to have.
    begun = call("nas.search", *TINY_LANDSCAPE, "task.failure_rate=1")
    assert "no more pages" not in begun.stdout
    of_short_run = pages()
    assert len(of_short_run) == 5
    extended = call("nas.search", "run=run", f"num_trials={MAX_TRIALS_WITH_PAGES + 1}")
    assert extended.stdout.count("TensorBoard gets no more pages of single trials, as the run is to have 501;") == 1
    assert pages() == of_short_run
    num_failed = len(read_record(tmp_path / "run").told)
    assert 5 < num_failed < 25
    assert len(scalars(tmp_path / "run" / "tensorboard" / "search")["trials/failed"]) == num_failed

    # As the line says, without another trial.
    asked = call("nas.search", "run=run", f"num_trials={num_failed}", "tracking.tensorboard.per_trial=true")
    assert "no more pages" not in asked.stdout
    assert pages() == [f"{number:05d}" for number in range(num_failed)]


def test_every_tracker_keeps_the_contract() -> None:
    for tracker in (TensorBoard(), MLflow(), WeightsAndBiases()):
        assert isinstance(tracker, Tracker)


def test_a_tracker_is_imported_when_it_is_named_and_not_before() -> None:
    script = """
import sys, nas.tracking
print(sorted(name for name in sys.modules if name.startswith("nas.tracking.")))
print(nas.tracking.TensorBoard.__name__, "nas.tracking.mlflow" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    contract = ["nas.tracking.base", "nas.tracking.feed", "nas.tracking.results"]
    assert ended.stdout.splitlines() == [str(contract), "TensorBoard False"]


def test_a_tracker_that_is_not_there_is_named(call: Run) -> None:
    refused = call("nas.search", *TINY_LANDSCAPE, "tracking.tensorboard._target_=nas.tracking.Nothing")
    assert refused.returncode == 2
    assert "cannot import nas.tracking.Nothing: module 'nas.tracking' has no attribute 'Nothing'" in refused.stderr
