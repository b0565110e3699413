"""`python -m nas.search` as a user has it: real processes, real training, real files."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.record.journal import FILE_NAME, read_record
from search_space import SpecFile, published_spec, read_spec, write_spec
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run, start


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines()]


def without_timings(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in event.items() if k not in ("time", "seconds")} for event in events(folder)]


def num_told(folder: Path) -> int:
    try:
        return (folder / FILE_NAME).read_text().count('"event":"told"')
    except OSError:
        return 0


@pytest.mark.ray
@pytest.mark.slow
def test_a_whole_search_through_ray_with_real_training(command: Run, call: Run, tmp_path: Path) -> None:
    done = command("nas.search", *TINY_SEARCH)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    record = read_record(tmp_path / "run")
    assert [trial.status for trial in record.trials.values()] == ["completed"] * 4
    assert all(trial.metrics["macs"] > 1e5 and trial.seconds["train"] > 0 for trial in record.trials.values())
    (numerics,) = {trial.numerics for trial in record.trials.values()}
    assert numerics is not None
    assert done.stdout.count(f"computing in {numerics}\n") == 1
    for trial in record.trials.values():
        assert f"trial {trial.number} " in done.stdout
    assert "Best of run" in done.stdout
    files = sorted((tmp_path / "run" / "best").iterdir())
    assert len(files) == 3
    for rank, path in enumerate(files, start=1):
        document = read_spec(path)
        assert document.provenance is not None
        assert document.scale is not None
        assert path.name == f"{rank:02d}-{document.key}.json"
        assert record.trials[document.provenance.trial].spec == document.spec
        assert document.provenance.versions["torch"]
    assert "num_trials=8" in done.stdout
    assert "-m nas.report run=run" in done.stdout

    again = call("nas.search", *TINY_SEARCH)
    assert "run: 4 trials on record, 4 asked for" in again.stdout
    assert len(read_record(tmp_path / "run").told) == 4


@pytest.mark.long
def test_a_killed_search_resumes_and_equals_one_that_was_not(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_SEARCH, "executor=local")
    process = start("nas.search", arguments, tmp_path)
    while num_told(tmp_path / "run") < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = events(tmp_path / "run")

    done = call("nas.search", *arguments)
    assert done.returncode == 0, done.stderr
    after = events(tmp_path / "run")
    assert after[: len(before)] == before
    told = [event["trial"] for event in after if event["event"] == "told"]
    assert sorted(told) == [0, 1, 2, 3]

    # The same seed gives the same journal, and another seed another.
    for run, seed, num_trials in (("whole", 0, 4), ("other", 1, 1)):
        done = call("nas.search", *arguments, f"run={run}", f"seed={seed}", f"num_trials={num_trials}")
        assert done.returncode == 0, done.stderr
    resumed, whole, other = (without_timings(tmp_path / run)[1:] for run in ("run", "whole", "other"))
    assert resumed == whole
    assert [event.get("key") for event in whole[:2]] != [event.get("key") for event in other]


@pytest.mark.slow
def test_trials_that_diverge_fail_and_the_search_goes_on(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=2", "recipe.learning_rate=1e30",
                   "recipe.optimizer=sgd", "fidelity.epochs=2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    failures = [trial.failure for trial in read_record(tmp_path / "run").trials.values()]
    assert [failure.kind for failure in failures if failure is not None] == ["nan", "nan"]
    assert "2 failed" in done.stdout
    assert "not finite at step" in done.stdout


@pytest.mark.parametrize(
    ("executor", "number"),
    [
        pytest.param("local", signal.SIGINT, marks=pytest.mark.long),
        ("local", signal.SIGTERM),
        pytest.param("ray", signal.SIGINT, marks=[pytest.mark.ray, pytest.mark.long]),
        pytest.param("ray", signal.SIGTERM, marks=[pytest.mark.ray, pytest.mark.long]),
    ],
)
@pytest.mark.slow
def test_ctrl_c_ends_cleanly_with_the_leaderboard_so_far(tmp_path: Path, executor: str, number: signal.Signals) -> None:
    arguments = (*TINY_SEARCH, f"executor={executor}", "num_trials=500")
    process = start("nas.search", arguments, tmp_path)
    while num_told(tmp_path / "run") < 1:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "Best of run" in stdout
    assert re.search(r"Resume: +python -m nas\.search experiment=quickstart .*num_trials=500", stdout)
    assert all(trial.failure is None for trial in read_record(tmp_path / "run").trials.values())


def test_a_full_disk_is_one_line_and_the_search_goes_on_when_there_is_room(
    call: Run, tmp_path: Path, small_disk: Path
) -> None:
    arguments = ("task=landscape", "executor=local", f"run={small_disk}/run", "num_trials=200")
    full = call("nas.search", *arguments)
    assert full.returncode == 2
    assert re.fullmatch(
        r"error: cannot write \S+journal\.jsonl: No space left on device; nothing before it is lost\n", full.stderr
    )
    record = read_record(small_disk / "run")
    assert 5 < len(record.told) < 200
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert call("nas.search", *arguments).returncode == 0
    again = read_record(small_disk / "run")
    assert again.told[: len(record.told)] == record.told
    assert sorted(again.told) == list(range(200))


def test_a_kind_of_failure_that_stops_ends_in_one_line_and_keeps_the_trial(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_LANDSCAPE, "task.failure_rate=1", "failures.nan=stop")
    done = call("nas.search", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(r"error: trial 0 failed \(nan\): NonFiniteLossError: one of the 100% .*\n", done.stderr)
    assert "stopping: trial 0 failed (nan)" in done.stdout
    assert "1 running; " in done.stdout
    assert "Resume: " in done.stdout
    record = read_record(tmp_path / "run")
    assert record.told == []
    # The handling of failures may differ from one start to the next.
    assert call("nas.search", *arguments[:-1], "failures.nan=fail", "failures.max_failed_share=1").returncode == 0
    assert len(read_record(tmp_path / "run").told) == 5


def test_a_search_in_which_most_trials_fail_stops_with_a_summary(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=500", "task.failure_rate=0.9")
    assert done.returncode == 2
    assert re.match(r"error: 11 of the last \d+ trials failed: 11 nan, first in trial \d+: NonFiniteLoss", done.stderr)
    assert re.search(r"^failed: 11 nan, first in trial \d+: NonFiniteLossError: one of the 90%", done.stdout, re.M)


@pytest.mark.long
def test_the_best_are_promoted_and_start_from_their_weights(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_SEARCH, "executor=local", "num_trials=7", "promotion.num_rungs=2", "promotion.reduction=2")
    done = call("nas.search", *arguments)
    assert done.returncode == 0, done.stderr
    trials = read_record(tmp_path / "run").trials.values()
    promoted = [trial for trial in trials if trial.rung == 1]
    assert len(promoted) >= 2
    assert all(trial.metrics["epochs_before"] == 0.5 for trial in promoted)
    lowest = [trial for trial in trials if trial.rung == 0]
    kept = {path.name for path in (tmp_path / "run" / "weights").iterdir()}
    assert kept == {f"{trial.key}-rung0.pt" for trial in lowest}
    assert "rung 1" in done.stdout
    best = read_spec(next((tmp_path / "run" / "best").glob("01-*.json"))).provenance
    assert best is not None
    assert best.trial in {trial.number for trial in promoted}
    assert best.fidelity["epochs"] == 1.0
    refused = call("nas.search", *arguments[:-1])
    assert "was made with promotion.reduction=2, now it is 4;" in refused.stderr


@pytest.mark.long
def test_weights_that_a_power_cut_left_as_zeros_are_trained_again_and_a_line_says_so(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_SEARCH, "executor=local", "promotion.num_rungs=2", "promotion.reduction=2")
    assert call("nas.search", *arguments, "num_trials=2").returncode == 0
    for path in (tmp_path / "run" / "weights").iterdir():
        path.write_bytes(bytes(path.stat().st_size))

    done = call("nas.search", *arguments, "num_trials=3")
    assert done.returncode == 0, done.stderr
    promoted = read_record(tmp_path / "run").trials[2]
    assert (promoted.status, promoted.metrics["epochs_before"]) == ("completed", 0.0)
    path = tmp_path / "run" / "weights" / f"{promoted.key}-rung0.pt"
    assert promoted.remarks == (f"trained from scratch, as {path} is damaged",)
    assert f"trial 2: {promoted.remarks[0]}\n" in done.stdout


def test_a_run_of_another_configuration_is_refused_with_both_values(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    before = (tmp_path / "run" / FILE_NAME).read_bytes()
    done = call("nas.search", *TINY_LANDSCAPE, "seed=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: the run folder \S+ was made with seed=0, now it is 3; .* run=\.\.\.\n", done.stderr)
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == before


def test_the_option_that_differs_has_the_name_that_can_be_set(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_LANDSCAPE, "space.window=4")
    assert call("nas.search", *arguments).returncode == 0
    done = call("nas.search", *TINY_LANDSCAPE, "space=spinenet")
    assert "was made with space.window=4, now it is 5;" in done.stderr


def test_a_search_resumed_by_its_run_alone_equals_one_begun_with_all_options(call: Run, tmp_path: Path) -> None:
    begun = (
        *("experiment=quickstart", "task=landscape", "task.noise=0.1", "executor=local", "tracking=none", "seed=3"),
        *("controller=local_search", "controller.patience=5", "reward=tradeoff", "reward.costs=[params]"),
        *("space.window=4", "scale=spinenet-49s", "limits.macs=40e9", "promotion.num_rungs=2", "fidelity.epochs=2"),
        *("warm_start.top=3", "failures.nan=retry"),
    )
    assert call("nas.search", *begun, "run=a", "num_trials=8").returncode == 0
    resumed = call("nas.search", "run=a", "num_trials=20")
    assert resumed.returncode == 0, resumed.stderr
    assert "a: 8 trials on record, 20 asked for" in resumed.stdout

    assert call("nas.search", *begun, "run=whole", "num_trials=20").returncode == 0
    assert without_timings(tmp_path / "a")[1:] == without_timings(tmp_path / "whole")[1:]

    # What is given beside the run is compared with the record; without num_trials, it asks for those on record.
    for given, recorded in (("seed=4", "seed=3"), ("controller.patience=6", r"controller\.patience=5")):
        refused = call("nas.search", "run=a", given)
        assert refused.returncode == 2
        assert re.fullmatch(rf"error: the run folder \S+ was made with {recorded}, now it is \d; .*\n", refused.stderr)
    assert "20 trials on record, 8 asked for" in call("nas.search", "run=a").stdout


def test_a_second_search_on_one_folder_is_refused(call: Run, tmp_path: Path) -> None:
    from nas.record.journal import Journal

    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    with Journal(tmp_path / "run", {}):
        done = call("nas.search", *TINY_LANDSCAPE, "num_trials=9")
    assert done.returncode == 2
    assert f"is in use by process {os.getpid()} on" in done.stderr


def test_a_finished_run_is_extended_by_a_larger_number(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    before = events(tmp_path / "run")
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=8", "executor=local")
    assert "run: 5 trials on record, 8 asked for" in done.stdout
    after = events(tmp_path / "run")
    assert after[: len(before)] == before
    assert num_told(tmp_path / "run") == 8


def test_files_of_the_user_in_the_run_folder_stay(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE).returncode == 0
    mine = tmp_path / "run" / "best" / "mine.json"
    mine.write_text("{}")
    assert call("nas.search", *TINY_LANDSCAPE, "num_trials=40").returncode == 0
    assert mine.exists()
    assert len(list(mine.parent.glob("*.json"))) == 4


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (
            "nas.search",
            ("experiment=nonsense",),
            "unknown choice experiment=nonsense; there are own_data, quickstart, ",
        ),
        ("nas.search", ("num_trials=abc",), "num_trials: Input should be a valid integer"),
        ("nas.search", ("experiment=spinenet",), r"no data: pass data\.root=/path/to/coco, a folder with annotations"),
        (
            "nas.search",
            ("experiment=spinenet", "data.root=/nowhere"),
            r"/nowhere/annotations/instances_train2017\.json",
        ),
        ("nas.search", ("space=around_spec", "space.base.spec=absent.json"), r"cannot read spec absent\.json: No such"),
        (
            "nas.search",
            ("experiment=spinenet", "task.score_on=val"),
            r"task\.score_on=val is for nas\.replay: a search",
        ),
        ("nas.search", ("experiment=spinenet", "data.root=~nobody-here/x"), "~nobody-here/x: there is no such user"),
        ("nas.leaderboard", (), "run: needs a value"),
        ("nas.leaderboard", ("run=absent",), r"no run at \S+absent: there is no journal\.jsonl"),
        ("nas.export", ("run=absent", "top=0"), "top must be from 1 to .*, got 0"),
        ("nas.replay", ("run=absent", *TINY_LANDSCAPE[:2]), r"no run at \S+absent: there is no journal\.jsonl"),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(
    call: Run, tmp_path: Path, module: str, arguments: tuple[str, ...], message: str
) -> None:
    done = call(module, *arguments)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", done.stderr)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:300], "Invalid JSON: EOF while parsing"),
        (lambda text: text.replace('"level": 2', '"level": 9', 1), r"spec\.stem\[0\]: level must be 1 to 7, got 9"),
        (lambda text: text.replace('"name"', '"title": "x", "name"', 1), "title: Extra inputs are not permitted"),
    ],
    ids=["truncated", "wrong level", "unknown key"],
)
def test_a_damaged_spec_file_ends_in_one_line_and_status_2(
    call: Run, tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    write_spec(tmp_path / "mine.json", SpecFile(schema_version=1, name="mine", spec=published_spec("spinenet-49")))
    good = call("nas.search", *TINY_LANDSCAPE, "space=around_spec", "space.base.spec=mine.json")
    assert good.returncode == 0, good.stderr
    text = (tmp_path / "mine.json").read_text()
    (tmp_path / "mine.json").write_text(damage(text))
    done = call("nas.search", *TINY_LANDSCAPE, "run=other", "space=around_spec", "space.base.spec=mine.json")
    assert done.returncode == 2
    assert re.fullmatch(rf"error: mine\.json: .*{message}.*\n", done.stderr)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("module", ["nas.search", "nas.leaderboard", "nas.replay", "nas.export"])
def test_help_shows_how_to_call(call: Run, module: str) -> None:
    done = call(module, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"python -m {module} ")
    assert "Options, as name=value:" in done.stdout


def test_the_composed_configuration_can_be_shown(call: Run) -> None:
    done = call("nas.search", "experiment=quickstart", "seed=7", "--cfg")
    assert done.returncode == 0
    assert "seed: 7" in done.stdout


def test_a_search_that_repeats_itself_says_so(call: Run, tmp_path: Path) -> None:
    # The kinds of fifteen blocks around SpineNet-49, climbed by local search: soon every neighbour is known.
    arguments = (*TINY_LANDSCAPE, "controller=local_search", "space=around_spec", "space.connections=false")
    done = call("nas.search", *arguments, "num_trials=300")
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"^(\d+)% of the last 100 trials were architectures that had been trained before", done.stdout, re.M
    )
    assert found is not None
    recent = [trial.status for trial in list(read_record(tmp_path / "run").trials.values())[-100:]]
    assert recent.count("reused") == int(found[1])
    quiet = call("nas.search", *arguments, "num_trials=300", "max_reused_share=1")
    assert "of the last 100 trials" not in quiet.stdout


def test_a_search_with_limits_says_what_it_rejected(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=30", "limits.macs=20e9")
    assert done.returncode == 0, done.stderr
    num_rejected = sum(trial.status == "rejected" for trial in read_record(tmp_path / "run").trials.values())
    assert f", {num_rejected} rejected; " in done.stdout
    assert done.stdout.count("rejected (over_limit): macs ") == num_rejected
    assert "proposals were over a limit" not in done.stdout
    tight = call("nas.search", *TINY_LANDSCAPE, "num_trials=30", "limits.macs=14e9", "run=tight")
    assert re.search(r"^\d+ of 30 proposals were over a limit and never trained: ", tight.stdout, re.M)


@pytest.mark.long
def test_a_search_for_several_objectives_names_the_command_that_shows_their_front(call: Run, tmp_path: Path) -> None:
    experiment = tmp_path / "my choices" / "experiment" / "two.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(
        "# @package _global_\ndefaults:\n  - override /reward: tradeoff\nreward:\n  costs: [macs, params]\n"
    )
    starts = (
        (*TINY_LANDSCAPE, "--config-dir=my choices", "experiment=two"),
        ("run=run", "num_trials=6"),
        ("run=run", "reward=tradeoff", "reward.costs=[macs,params]"),
    )

    for arguments in starts:
        done = call("nas.search", *arguments)
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("Front:")]
        shown = call("nas.leaderboard", *shlex.split(line)[4:])
        assert "none beats another in all of ap, macs, params" in shown.stdout.replace("\n", " "), shown.stderr
    assert "Front:" not in call("nas.search", *TINY_LANDSCAPE, "run=one").stdout
