"""Whole experiments of Ray Tune, in processes of their own, as people start them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.record.journal import FILE_NAME, read_record
from nas.record.record import Record
from tests.nas.interop.test_ray_tune import LANDSCAPE, run_by_our_loop, told
from tests.proxy_tasks.networks.test_use_elsewhere import code_of

pytestmark = [pytest.mark.ray, pytest.mark.long]

DRIVER = """
import sys
from pathlib import Path

from ray import tune

from nas.executors.own_ray import OwnRay
from nas.interop.ray_tune import TuneSearch

if __name__ == "__main__":
    storage = Path("tune").resolve()
    search = TuneSearch(*sys.argv[1:])
    with OwnRay():
        is_restored = tune.Tuner.can_restore(str(storage / "search"))
        if is_restored:
            tuner = tune.Tuner.restore(str(storage / "search"), search.trainable)
        else:
            tuner = tune.Tuner(
                search.trainable,
                tune_config=tune.TuneConfig(
                    search_alg=search, num_samples=-1, max_concurrent_trials=1, metric="reward", mode="max"
                ),
                run_config=tune.RunConfig(name="search", storage_path=str(storage), verbose=0),
            )
        results = tuner.fit()
    print("restored" if is_restored else "new", "results", len(results), "errors", results.num_errors)
"""

DRIVER_OF_DOCS = """
import runpy

from nas.executors.own_ray import OwnRay

if __name__ == "__main__":
    with OwnRay():
        results = runpy.run_path("from_the_docs.py")["results"]
    print("results", len(results), "errors", results.num_errors)
"""


@pytest.fixture(autouse=True)
def in_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Run in an empty folder, with a place of the test's own for the folders of Ray, reached by a short name."""
    link = Path(f"/tmp/{os.getpid()}-{time.monotonic_ns() % 10**6}")
    link.symlink_to(tmp_path_factory.mktemp("ray"))
    monkeypatch.setenv("RAY_TMPDIR", str(link))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driver.py").write_text(DRIVER)
    yield
    link.unlink()


def start_driver(*options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "driver.py", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # The searcher is saved with the experiment, as often as Tune can.
        env=os.environ | {"TUNE_GLOBAL_CHECKPOINT_S": "1"},
    )


def finished(driver: "subprocess.Popen[str]") -> str:
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    return out.splitlines()[-1]


def figures(record: Record) -> list[tuple[object, ...]]:
    """Return all that does not depend on the clock, in the order of the results."""
    trials = (record.trials[number] for number in record.told)
    return [
        (trial.metrics, trial.loss_curve, trial.numerics, trial.failure and (trial.failure.kind, trial.failure.message))
        for trial in trials
    ]


def test_the_code_in_the_docs_runs_and_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where Tune keeps its results unless it is told.
    monkeypatch.setenv("HOME", str(tmp_path))
    for code in code_of("Ray Tune"):
        small = code.replace('"experiment=quickstart", "baselines=false"', '"task=landscape", "num_trials=4"')
        assert small != code
        Path("from_the_docs.py").write_text(small)
        Path("driver.py").write_text(DRIVER_OF_DOCS)
        assert finished(start_driver()) == "results 4 errors 0"
    assert sorted(read_record(Path("runs", "in_tune")).told) == [0, 1, 2, 3]


def test_an_experiment_with_a_failing_trainable_equals_our_own_loop() -> None:
    options = (*LANDSCAPE, "num_trials=8", "task.failure_rate=0.4", "failures.max_failed_share=1", "run=ours")
    ours = run_by_our_loop(*options)
    last = finished(start_driver(*options[:-1], "run=tunes"))
    record = read_record(Path("tunes"))
    assert {trial.status for trial in record.trials.values()} == {"completed", "failed"}
    assert told(record) == told(ours)
    assert figures(record) == figures(ours)
    num_failed = sum(trial.status == "failed" for trial in record.trials.values())
    assert last == f"new results 8 errors {num_failed}"


def test_a_killed_experiment_is_restored_and_loses_and_repeats_nothing() -> None:
    options = (*LANDSCAPE, "controller=evolution_small", "num_trials=12")
    ours = run_by_our_loop(*options, "run=ours")
    driver = start_driver(*options, "run=tunes")
    journal = Path("tunes") / FILE_NAME
    while not (journal.is_file() and journal.read_text().count('"event":"told"') >= 5):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    before = journal.read_bytes()

    assert finished(start_driver(*options, "run=tunes")).startswith("restored results")
    after = journal.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    assert told(read_record(Path("tunes"))) == told(ours)
