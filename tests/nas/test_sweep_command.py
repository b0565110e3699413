"""`python -m nas.search -m`: searches one after another, in folders of their own, and the report that compares them."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from nas.executors.ray_folder import PREFIX
from nas.record.journal import FILE_NAME, read_record
from tests.conftest import TINY_SEARCH, Run, start

LIGHT = ("task=landscape", "executor=local", "tracking=none", "num_trials=5")
SLOW_TASK = '''
import time

from proxy_tasks.landscape import Landscape


class Slow(Landscape):
    """The landscape, but an evaluation takes a while."""

    def evaluate(self, *args, **how):
        time.sleep(0.05)
        return super().evaluate(*args, **how)
'''


def without_timings(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / FILE_NAME).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("time", "seconds")} for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_combination_is_a_search_in_a_folder_of_its_own_that_equals_the_search_alone(
    call: Run, tmp_path: Path
) -> None:
    done = call("nas.search", *LIGHT, "-m", "seed=1,2", "controller=random,evolution")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

    names = [f"{controller}-seed-{seed}" for seed in (1, 2) for controller in ("random", "evolution")]
    sweep = tmp_path / "runs" / "search_sweep"
    assert sorted(path.name for path in sweep.iterdir()) == sorted([*names, "report.html"])
    alone = call("nas.search", *LIGHT, "seed=2", "controller=random", "run=alone")
    assert alone.returncode == 0
    assert without_timings(sweep / "random-seed-2")[1:] == without_timings(tmp_path / "alone")[1:]

    # What is going on, and at the end a line for each search, the mean of each searcher, and the report of them all.
    assert "4 searches of 20 trials in all, in runs/search_sweep; finished: 0\n" in done.stdout
    assert "search 4 of 4: seed=2 controller=evolution\n" in done.stdout
    table = done.stdout.partition("Best of each search in runs/search_sweep\n")[2]
    assert all(len(re.findall(rf"^\d +{name} ", table, re.M)) == 1 for name in names)
    best = {name: max(trial.reward or 0 for trial in read_record(sweep / name).trials.values()) for name in names}
    mean = sum(best[f"random-seed-{seed}"] for seed in (1, 2)) / 2
    assert f"random: mean best reward {mean:.4f} after 5 results (95 % interval " in table
    assert re.search(r"\nruns/search_sweep/report\.html: \d\.\d MB, open it in a browser\n$", table)
    page = (sweep / "report.html").read_text()
    assert all(name in page for name in names)


def test_the_same_command_trains_nothing_again_and_another_value_adds_to_what_is_there(
    call: Run, tmp_path: Path
) -> None:
    arguments = (*LIGHT, "run=mine", "--multirun", "controller=random")
    assert call("nas.search", *arguments, "seed=1,2").returncode == 0
    before = {name: value for name, value in contents(tmp_path / "mine").items() if name != "report.html"}

    again = call("nas.search", *arguments, "seed=2,1")
    assert again.returncode == 0
    assert "finished: 2\nsearch 1 of 2: seed=2 is finished\nsearch 2 of 2: seed=1 is finished\n" in again.stdout
    assert before.items() <= contents(tmp_path / "mine").items()

    # Each is a run like any other, and further than asked for is finished too.
    assert call("nas.search", "run=mine/seed-1", "num_trials=9").returncode == 0
    more = call("nas.search", *arguments, "seed=range(1,4)", "num_trials=7")
    assert (
        "search 1 of 3: seed=1 is finished\n\nsearch 2 of 3: seed=2\nmine/seed-2: 5 trials on record, 7" in more.stdout
    )
    num_told = {path.parent.name: len(read_record(path.parent).told) for path in tmp_path.glob(f"mine/*/{FILE_NAME}")}
    assert num_told == {"seed-1": 9, "seed-2": 7, "seed-3": 7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed=1,x",), "seed=x: seed: Input should be a valid integer"),
        (("controller=random,rndom",), "controller=rndom: unknown choice controller=rndom; there are .*mean random"),
        (("controller=random,pareto_evolution",), "controller=pareto_evolution: controller: needs a reward with costs"),
        (("warm_start.specs=[],[absent.json]",), r"warm_start\.specs=\[absent\.json\]: cannot read spec absent\.json"),
        (("experiment=quickstart,quickstart_train",), "quickstart_train: experiment=quickstart_train is for nas.train"),
        (("seed=1",), "-m runs one search after another, and needs an option with several values"),
        (("seed=1,2", "--cost"), "--cost is about one search; leave out -m"),
        (("seed=1,2", "--cfg"), "--cfg is about one search; leave out -m"),
        (("seed=1,2", "--bogus"), "unknown flag --bogus"),
    ],
)
def test_a_mistake_in_the_last_combination_is_one_line_before_anything_is_written(
    call: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = call("nas.search", *LIGHT, "-m", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_data_that_the_last_search_lacks_is_one_line_before_the_first_is_begun(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *LIGHT[1:], "-m", "task=landscape,detection", "data.root=/nowhere")
    assert done.returncode == 2
    assert re.fullmatch(r"error: task=detection: no data: /nowhere/annotations/\S+ does not exist; .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_several_values_without_the_flag_are_refused_with_a_word_on_it(call: Run) -> None:
    for argument in ("seed=1,2", "controller=random,evolution", "seed=range(1,3)"):
        done = call("nas.search", *LIGHT, argument)
        assert done.returncode == 2
        assert done.stderr.endswith(f"; with -m there is a search for each value of {argument}\n")


def test_a_folder_that_is_a_run_or_has_another_search_is_refused_and_stays_as_it_is(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *LIGHT, "run=a").returncode == 0
    quiet = call("nas.search", *LIGHT, "run=b", "-m", "seed=1,2", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    before = contents(tmp_path)

    inside = call("nas.search", *LIGHT, "run=a", "-m", "seed=1,2")
    assert inside.returncode == 2
    assert re.fullmatch(r"error: a is a run itself, and the searches of .* name another folder.*\n", inside.stderr)
    file = call("nas.search", *LIGHT, "run=b/report.html", "-m", "seed=1,2")
    assert (file.returncode, file.stderr) == (
        2,
        "error: b/report.html is no folder: name another folder with run=...\n",
    )
    other = call("nas.search", *LIGHT, "run=b", "task.noise=0.1", "-m", "seed=3,2")
    assert other.returncode == 2
    assert re.fullmatch(r"error: seed=2: the run folder \S+ was made with task\.noise=0\.0.*\n", other.stderr)
    assert contents(tmp_path) == before


def test_searches_of_several_experiments_lie_side_by_side_and_say_that_rewards_need_not_compare(
    call: Run, tmp_path: Path
) -> None:
    done = call("nas.search", *LIGHT, "baselines=false", "-m", "experiment=quickstart,spinenet_evolution")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "sweep"
    assert {path.name for path in folder.iterdir()} == {"quickstart", "spinenet_evolution", "report.html"}
    assert re.search(r"^The searches differ in .*scale\.\w+.*: rewards need not compare\.$", done.stdout, re.M)
    assert "mean best reward" not in done.stdout


def test_a_search_that_stops_does_not_stop_the_others_and_the_end_names_it(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *LIGHT, "run=mine", "num_trials=20", "-m", "task.failure_rate=0,1,0.1")
    assert done.returncode == 2
    assert re.search(
        r"^search 2 of 3: task\.failure_rate=1 stopped: 11 of the last \d+ trials failed", done.stdout, re.M
    )
    assert re.fullmatch(
        r"error: 1 of 3 searches stopped before their end: mine/task\.failure_rate-1; the same command resumes them: "
        r"\S+ -m nas\.search task=landscape .* -m task\.failure_rate=0,1,0\.1\n",
        done.stderr,
    )
    assert len(read_record(tmp_path / "mine" / "task.failure_rate-0.1").told) == 20
    assert (tmp_path / "mine" / "report.html").exists()


def started_sweep(folder: Path, num_told: int) -> "subprocess.Popen[str]":
    """Start a sweep whose second search has as many results, in a process of its own."""
    (folder / "slow.py").write_text(SLOW_TASK)
    sweep = start("nas.search", (*LIGHT, "task._target_=slow.Slow", "run=mine", "-m", "seed=1,2,3"), folder)
    journal = folder / "mine" / "seed-2" / FILE_NAME
    while not journal.exists() or journal.read_text().count('"event":"told"') < num_told:
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.01)
    return sweep


def test_a_sweep_that_is_killed_resumes_the_search_that_it_was_at_and_equals_one_that_was_not(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = started_sweep(tmp_path, 2)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    first = contents(tmp_path / "mine" / "seed-1")
    second = (tmp_path / "mine" / "seed-2" / FILE_NAME).read_bytes()
    assert not (tmp_path / "mine" / "seed-3").exists()

    monkeypatch.syspath_prepend(tmp_path)
    arguments = (*LIGHT, "task._target_=slow.Slow", "-m", "seed=1,2,3")
    resumed = call("nas.search", *arguments, "run=mine")
    assert resumed.returncode == 0, resumed.stderr
    assert "finished: 1\nsearch 1 of 3: seed=1 is finished\n" in resumed.stdout
    assert contents(tmp_path / "mine" / "seed-1") == first
    assert (tmp_path / "mine" / "seed-2" / FILE_NAME).read_bytes().startswith(second)

    assert call("nas.search", *arguments, "run=whole").returncode == 0
    for name in ("seed-1", "seed-2", "seed-3"):
        resumed_events, whole_events = (without_timings(tmp_path / run / name)[1:] for run in ("mine", "whole"))
        assert resumed_events == whole_events


def test_ctrl_c_ends_the_sweep_with_the_command_that_resumes_it(tmp_path: Path) -> None:
    sweep = started_sweep(tmp_path, 1)
    os.killpg(sweep.pid, signal.SIGINT)
    stdout, stderr = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert stderr == ""
    assert "stopped by Ctrl-C" in stdout
    assert re.search(r"^Resume the sweep: +\S+ -m nas\.search task=landscape .* run=mine -m seed=1,2,3$", stdout, re.M)
    assert not (tmp_path / "mine" / "seed-3").exists()
    assert not (tmp_path / "mine" / "report.html").exists()


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.slow
def test_all_searches_of_a_sweep_run_in_one_ray(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(f"/tmp/{os.getpid()}-{time.monotonic_ns() % 10**6}")
    place.symlink_to(tmp_path_factory.mktemp("ray"))
    arguments = ("task=landscape", "tracking=none", "num_trials=5", "run=mine", "executor.max_concurrent=1")
    sweep = start("nas.search", (*arguments, "-m", "seed=1,2"), tmp_path, RAY_TMPDIR=str(place))

    # The folder of each Ray is there for as long as the Ray: seconds.
    folders: set[str] = set()
    while sweep.poll() is None:
        folders |= {path.name for path in place.glob(f"{PREFIX}*")}
        time.sleep(0.05)
    stdout, stderr = sweep.communicate()
    assert sweep.returncode == 0, stderr
    assert stdout.count("5 completed") == 2
    assert len(folders) == 1
    assert list(place.iterdir()) == []
    place.unlink()


@pytest.mark.long
def test_a_sweep_with_real_training_makes_its_data_once_and_its_last_search_equals_that_alone(
    call: Run, tmp_path: Path
) -> None:
    tiny = [argument for argument in TINY_SEARCH if not argument.startswith(("run=", "num_trials="))]
    arguments = (*tiny, "executor=local", "num_trials=2")
    done = call("nas.search", *arguments, "-m", "seed=1,2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("drawing images: ") == 1
    sweep = tmp_path / "runs" / "quickstart_sweep"
    assert {path.name for path in sweep.iterdir()} == {"seed-1", "seed-2", "report.html"}

    assert call("nas.search", *arguments, "seed=2", "run=alone").returncode == 0
    assert without_timings(sweep / "seed-2")[1:] == without_timings(tmp_path / "alone")[1:]
