"""Runs in Python: started, opened, looked into, resumed and interrupted."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from foundation import InputError
from nas import Run
from nas.record.journal import FILE_NAME, read_record
from search_space import ModelScale
from tests.conftest import Run as Command

OPTIONS: dict[str, Any] = {"task": "landscape", "executor": "local", "tracking": "none", "num_trials": 5}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of five trials to copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    Run.start(run=folder, scale="tiny", **OPTIONS)
    return folder


@pytest.fixture
def run(finished: Path) -> Run:
    """Return a run of its own in `run`."""
    shutil.copytree(finished, "run")
    return Run.open("run")


def rewards_of(folder: str) -> dict[str, float | None]:
    return {trial.key: trial.reward for trial in read_record(Path(folder)).trials.values()}


def test_a_search_from_python_is_that_of_the_command(call: Command, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.start({"task.noise": 0.1}, run="here", controller="random", fidelity={"epochs": 2}, **OPTIONS)
    assert "[5/5] trial 4" in capsys.readouterr().out
    command = [f"{name}={value}" for name, value in OPTIONS.items()]
    done = call("nas.search", *command, "task.noise=0.1", "run=there", "controller=random", "fidelity.epochs=2")
    assert done.returncode == 0

    assert rewards_of("here") == rewards_of("there")
    here, there = (read_record(Path(name)).created.config for name in ("here", "there"))
    assert {**here, "run": ""} == {**there, "run": ""}
    assert [trial.reward for trial in run.trials] == [trial.reward for trial in Run.open("there").trials]


def test_the_same_call_resumes_and_so_does_the_run_by_what_is_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    Run.start({"task.noise": 0.1}, run="run", **OPTIONS | {"num_trials": 2})
    first = rewards_of("run")
    run = Run.start({"task.noise": 0.1}, run="run", **OPTIONS)
    capsys.readouterr()

    assert run.resume(num_trials=7) is run
    assert "run: 5 trials on record, 7 asked for" in capsys.readouterr().out
    assert len(run.trials) == 7
    assert first.items() <= rewards_of("run").items()
    with pytest.raises(InputError, match=r"task.noise=0.1, now it is 0.2"):
        run.resume({"task.noise": 0.2}, num_trials=8)


def test_calls_that_may_follow_stand_below_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    Run.start(run="a run", **OPTIONS)
    shown = capsys.readouterr().out
    assert "Extend:  Run.open('a run').resume(num_trials=10)\nReport:  Run.open('a run').report()\n" in shown
    assert "nas.search" not in shown


def test_a_run_gives_its_trials_as_values_and_as_a_table(run: Run) -> None:
    best = max(run.trials, key=lambda trial: trial.reward or -math.inf)
    assert run.best == best
    assert run.spec == best.spec
    assert [trial.number for trial in run.trials] == [0, 1, 2, 3, 4]
    assert (best.name, best.status, best.scale) == (f"run-{best.number}", "completed", run.trials[0].scale)
    assert best.metrics["ap"] == best.reward

    table = run.to_dataframe()
    assert isinstance(table, pd.DataFrame)
    assert table["reward"].idxmax() == best.number
    assert list(table["macs"]) == [trial.metrics["macs"] for trial in run.trials]
    assert {"status", "seconds", "key", "outcome"} <= set(table.columns)


def test_a_table_has_numbers_also_where_no_trial_has_any() -> None:
    run = Run.start({"limits.macs": 1}, run="run", **OPTIONS | {"num_trials": 2})
    table = run.to_dataframe()
    assert list(table["status"]) == ["rejected", "rejected"]
    assert math.isnan(table["reward"].mean())
    assert table["seconds"].sum() == 0


def test_a_table_without_pandas_is_refused_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas: pip install pandas"):
        run.to_dataframe()


def test_a_run_builds_the_network_of_a_trial_at_its_scale(run: Run) -> None:
    scale = run.best.scale
    assert scale is not None

    images = torch.zeros(1, 3, 64, 64)
    features = run.network().eval()(images)
    assert [feature.shape[1] for feature in features] == [scale.endpoint_width] * 5
    detector = run.network(run.trials[1], scale=ModelScale(width_multiplier=0.125, image_size_px=64), head="retinanet")
    assert detector.eval()(images).class_logits.shape[-1] == 80

    # A number out of a table is one of NumPy.
    assert [*run.network(np.int64(2)).state_dict()] == [*run.network(run.trials[2]).state_dict()]


def test_a_run_shows_what_another_process_adds(run: Run, call: Command) -> None:
    assert call("nas.search", "run=run", "num_trials=6").returncode == 0
    assert len(run.trials) == 6
    assert call("nas.leaderboard", "run=run").returncode == 0


def test_a_run_is_told_in_a_line_also_when_its_folder_is_gone(run: Run) -> None:
    best = run.best
    assert repr(run) == f"<Run run: 5 completed; best is trial {best.number}: {best.outcome}>"
    assert repr(best) == f"<trial run-{best.number}: {best.outcome}>"
    assert best.outcome.startswith(f"reward {best.reward:.4f}, ")

    shutil.rmtree("run")
    assert repr(run) == "<Run run: cannot be read any more>"


def test_a_run_draws_its_best_above_its_ranking_and_escapes_what_it_shows() -> None:
    run = Run.start(run="<b>", **OPTIONS)
    shown = run._repr_html_()
    assert "&lt;b&gt;: 5 completed" in shown
    assert "<b><b>" not in shown
    assert shown.index("<svg ") < shown.index("<table>")
    assert shown.count("<tr>") == 1 + 5
    assert all(trial.key[:6] in shown for trial in run.trials)
    assert "<svg " in run.best._repr_html_()


def test_a_run_without_a_reward_says_so_and_shows_itself_all_the_same() -> None:
    run = Run.start({"task.failure_rate": 1.0}, run="run", **OPTIONS)
    with pytest.raises(InputError, match="no trial has a reward yet"):
        _ = run.best
    assert "5 failed" in repr(run)
    assert "5 failed" in run._repr_html_()
    assert len(run.to_dataframe()) == 5


def test_a_report_is_written_into_the_run_or_where_it_is_asked_for(run: Run) -> None:
    assert run.report() == Path("run/report.html").absolute()
    assert run.report("elsewhere.html", top=2).read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Run.start(num_trails=3), "unknown option num_trails; did you mean num_trials?"),
        (
            lambda: Run.start(experiment="quickstrat"),
            "unknown choice experiment=quickstrat; .*did you mean quickstart?",
        ),
        (lambda: Run.start("quickstart"), "options are given by name, as experiment=.*, got str 'quickstart'"),  # type: ignore[arg-type]
        (lambda: Run.start({"num_trials": 3}, num_trials=4), "num_trials is given twice; leave out one of them"),
        (lambda: Run.start({"fidelity.epochs": 1}, fidelity={"epochs": 1}), "fidelity.epochs is given twice"),
        (lambda: Run.start({"--cfg": True}), "an option's name is words with dots, as task.noise, got str '--cfg'"),
        (lambda: Run.start(num_trials={1}), "num_trials: needs text, a number, .* got set {1}"),
        (lambda: Run.start(num_trials=math.nan, task="landscape"), "num_trials: needs a finite number, got nan"),
        (lambda: Run.start(config_dir="nowhere"), "--config-dir needs a folder, got .*nowhere"),
        (lambda: Run.open("nowhere"), "no run at .*nowhere: there is no journal.jsonl"),
        (lambda: Run.open("run", block_kinds={"mine": "mine.KIND"}), "block_kinds.mine: cannot import mine.KIND"),
        (lambda: Run.open("run").network(5), "run has no trial 5; there are 0 to 4"),
        (lambda: Run.open("run").network(-1), "run has no trial -1; there are 0 to 4"),
        (lambda: Run.open("run").network(0, head="nose"), "run-0: head must be one of retinanet, .* got 'nose'"),  # type: ignore[arg-type]
        (lambda: Run.open("run").report(top=0), "top must be from 1"),
        (lambda: Run.open("run").report("/proc/none/report.html"), "cannot write"),
        (lambda: Run.open("run").report(trained="nowhere"), "trained: nowhere holds no training"),
        (lambda: Run.open("run").report(trained=["run"]), "trained: run holds no training"),
        (lambda: Run.open("run").resume(run="other"), "resume.. is of run: leave out run"),
    ],
)
def test_a_mistake_is_one_line(run: Run, call: Callable[[], object], message: str) -> None:
    before = (run.folder / FILE_NAME).read_bytes()
    with pytest.raises(InputError, match=message) as mistake:
        call()
    assert "\n" not in str(mistake.value)
    assert (run.folder / FILE_NAME).read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_options_are_taken_as_they_are_in_python(tmp_path: Path) -> None:
    folder = tmp_path / "a, b [c]"
    run = Run.start(
        {
            "limits.macs": np.float32(5e12),
            "warm_start.specs": ["spinenet-49", "r0-sp53"],
            "fidelity.max_train_images": None,
        },
        run=folder,
        baselines=False,
        max_reused_share=np.float64(0.25),
        **OPTIONS | {"num_trials": "4", "tracking": ["none"]},
    )
    assert run.folder == folder
    config = read_record(folder).created.config
    assert (config["num_trials"], config["max_reused_share"], config["baselines"]) == (4, 0.25, False)
    assert config["limits"]["macs"] == float(np.float32(5e12))
    assert len(read_record(folder).created.begin_with) == 2


def test_yaml_files_of_ones_own_are_found_again_when_the_run_is_resumed() -> None:
    Path("mine/controller").mkdir(parents=True)
    own = "# Mine.\n_target_: controllers.RandomSearch\n# The space.\nspace: ${space}\n"
    Path("mine/controller/own.yaml").write_text(own)
    run = Run.start(run="run", controller="own", config_dir="mine", **OPTIONS)
    assert len(run.resume(num_trials=6, controller="own").trials) == 6

    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert len(run.resume(num_trials=7, controller="own").trials) == 7


def test_a_search_runs_in_a_thread_and_a_second_one_beside_it_is_refused() -> None:
    done: list[Run] = []
    options = OPTIONS | {"num_trials": 60, "verbosity": "quiet"}
    thread = Thread(target=lambda: done.append(Run.start(run="first", **options)))
    thread.start()
    wait_for_results(Path("first"), 1)
    with pytest.raises(InputError, match="another search is running in this process"):
        Run.start(run="second", **options)
    thread.join()
    assert len(done[0].trials) == 60

    # The refusal has taken nothing that a later search needs.
    assert len(Run.start(run="second", **OPTIONS).trials) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_is_on_disk_and_resumes(number: signal.Signals) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    def interrupt() -> None:
        wait_for_results(Path("run"), 3)
        os.kill(os.getpid(), number)

    thread = Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        Run.start(run="run", **OPTIONS | {"num_trials": 100_000, "verbosity": "quiet"})
    thread.join()
    # Few frames: those of the training would fill a cell.
    assert len(stopped.traceback) <= 3
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers

    run = Run.open("run")
    num_trials, ended = len(run.trials), {trial.key: trial.reward for trial in run.trials if trial.status != "running"}
    run.resume(num_trials=num_trials + 2)
    assert [trial.status == "running" for trial in run.trials] == [False] * (num_trials + 2)
    assert ended.items() <= rewards_of("run").items()


def test_a_search_whose_reader_is_gone_goes_on_to_its_end() -> None:
    code = f"from nas import Run\nRun.start(run='run', **{OPTIONS!r})\nprint('after it', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()

    # What the program prints by itself fails as ever.
    assert len(Run.open("run").trials) == 5
    assert errors.startswith("standard output cannot be written (Broken pipe); what is lost there ends nothing\n")
    assert "BrokenPipeError" in errors


def test_no_ray_is_started_that_would_listen_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # Read when Ray is imported, as it has been by then: nobody can tell what it would listen on.
    import_module("ray")
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    with pytest.raises(InputError, match=r"this process imported ray before, .* executor=local, which does without"):
        Run.start(run="run", **OPTIONS | {"executor": "ray"})
    assert Run.open("run").resume(executor="local").best.reward


@pytest.mark.ray
@pytest.mark.long
def test_searches_on_ray_follow_each_other_in_one_process_and_run_in_a_thread(call: Command) -> None:
    options = OPTIONS | {"executor": "ray", "executor.max_concurrent": 1}
    assert len(Run.start(options, run="first").trials) == 5
    done: list[Run] = []
    thread = Thread(target=lambda: done.append(Run.start(options, run="second")))
    thread.start()
    thread.join()
    assert rewards_of("first") == rewards_of("second")
    assert call("nas.search", "run=first", "num_trials=6").returncode == 0
    assert len(Run.open("first").trials) == 6


def wait_for_results(run: Path, count: int) -> None:
    """Return once so many results are on record."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        path = run / FILE_NAME
        if path.exists() and path.read_text().count('"told"') >= count:
            return
        time.sleep(0.01)
    raise TimeoutError(f"{run} has no {count} results")


@pytest.mark.long
def test_the_code_that_the_documentation_shows_of_a_run_does_what_it_says() -> None:
    Run.start(run="runs/quickstart", scale="tiny", verbosity="quiet", **OPTIONS | {"num_trials": 8})
    text = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
    (code,) = re.findall(r"^## A run\n\n```python\n(.+?)^```$", text, re.M | re.S)
    names: dict[str, Run] = {}
    exec(code, names)
    assert len(names["run"].trials) == 48
    assert Path("runs/quickstart/report.html").exists()
