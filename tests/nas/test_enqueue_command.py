"""nas.enqueue: an architecture of one's own in a search that has ended, in one that runs, and what is refused."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

from nas.record.journal import FILE_NAME, read_record
from nas.record.waiting_list import FOLDER
from search_space import published_spec
from tests.conftest import Run, start

SEARCH = ("space=spinenet", "task=landscape", "controller=random", "executor=local", "tracking=none")


def test_what_is_put_in_is_trained_when_the_search_is_extended(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *SEARCH, "num_trials=3", "run=run").returncode == 0
    done = call("nas.enqueue", "run=run", "spec=spinenet-49")
    assert done.returncode == 0, done.stderr
    key = published_spec("spinenet-49").key
    assert f"spinenet-49 ({key[:6]}) waits in run" in done.stdout
    assert "nas.search run=run num_trials=4" in done.stdout
    twice = call("nas.enqueue", "run=run", "spec=[r0-sp53,spinenet-49]")
    assert (twice.returncode, twice.stderr) == (2, "error: spec=spinenet-49 waits in run already\n")
    assert len(list((tmp_path / "run" / FOLDER).iterdir())) == 1

    assert call("nas.search", "run=run", "num_trials=5").returncode == 0
    trials = read_record(tmp_path / "run").trials
    assert trials[3].key == key
    assert trials[3].status == "completed"
    assert len(trials) == 5

    # Once trained, it is a replay's work.
    again = call("nas.enqueue", "run=run", "spec=spinenet-49")
    assert again.returncode == 2
    assert "is trial 3 of this run, which has reward" in again.stderr


def test_a_search_that_runs_takes_it(tmp_path: Path, call: Run) -> None:
    run = tmp_path / "run"
    search = start("nas.search", [*SEARCH, "num_trials=1000000", "run=run"], tmp_path)
    try:
        wait_for(lambda: (run / FILE_NAME).exists() and len((run / FILE_NAME).read_text().splitlines()) > 10)
        done = call("nas.enqueue", "run=run", "spec=spinenet-49")
        assert (done.returncode, done.stderr) == (0, "")
        wait_for(lambda: not list((run / FOLDER).iterdir()))
        search.send_signal(signal.SIGINT)
        search.communicate(timeout=60)
    finally:
        search.kill()
        search.wait()
    record = read_record(run)
    (number,) = record.queued.values()
    assert record.trials[number].key == published_spec("spinenet-49").key


def test_mistakes_are_one_line_and_nothing_is_put_in(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *SEARCH, "num_trials=3", "run=run").returncode == 0
    assert call("nas.replay", "run=run", "top=1", "seeds=1", "fidelity.epochs=2").returncode == 0
    foreign = json.loads((next((tmp_path / "run" / "best").glob("*.json"))).read_text())
    (tmp_path / "no.json").write_text(json.dumps(foreign)[:100])
    replay = next((tmp_path / "run" / "replays").iterdir()).relative_to(tmp_path)
    for options, words in (
        (["run=nowhere", "spec=spinenet-49"], "nowhere"),
        (["run=run", "spec=[spinenet-49,spinenet-mobile-49]"], "spec=spinenet-mobile-49 is not in the space of run"),
        (["run=run", "spec=spinenet-50"], "spinenet-50"),
        (["run=run", "spec=no.json"], "no.json"),
        ([f"run={replay}", "spec=spinenet-49"], "is a replay"),
        (["run=run"], "spec"),
        (["run=run", "spec=[]"], "spec: needs an architecture"),
        (["run=run", "spec=spinenet-49", "space.window=7"], "space.window is 5 in run, not 7; leave it out"),
    ):
        done = call("nas.enqueue", *options)
        assert done.returncode == 2, options
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run" / FOLDER).exists()


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
