"""The table of trainings that a user makes of run folders."""

import gzip
import json
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from foundation import file_lock
from nas.record.baselines import Baseline, write_baseline
from nas.record.journal import FILE_NAME, read_record
from nas.record.trial import best_trials
from proxy_tasks import Fidelity, Numerics
from proxy_tasks.training_table import EMPTY_TABLE, TrainingRow, TrainingTable, read_table, write_table
from search_space import ScalePermutedSpace, resnet_seed
from tests.conftest import TINY_SEARCH, Run

LANDSCAPE = ("task=landscape", "task.noise=0.1", "executor=local", "tracking=none")
SMALL = ("controller.population_size=6", "controller.tournament_size=3")


def search(call: Run, *options: str) -> None:
    done = call("nas.search", *LANDSCAPE, *options)
    assert done.returncode == 0, done.stderr


def table_of(call: Run, tmp_path: Path, *arguments: str) -> TrainingTable:
    done = call("nas.table", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return read_table(tmp_path / "table.jsonl.gz")


def test_a_table_holds_every_completed_training_of_a_run_its_replays_and_its_studies(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=12", *SMALL)
    assert call("nas.replay", *LANDSCAPE, "run=runs/a", "top=3", "seeds=2", "baselines=false").returncode == 0
    assert call("nas.proxy", *LANDSCAPE, "run=runs/a", "num_architectures=4", "seeds=2").returncode == 0
    baseline = Baseline(name="r50-fpn", status="completed", reward=0.5, metrics={"ap": 0.5}, seconds={"train": 3600.0})
    write_baseline(tmp_path / "runs" / "a", baseline)
    write_baseline(tmp_path / "runs" / "a", Baseline(name="other", status="failed"))

    done = call("nas.table", "runs/a")
    found = read_table(tmp_path / "table.jsonl.gz")
    record = read_record(tmp_path / "runs" / "a")
    trained = {trial.key: trial for trial in record.trials.values() if trial.status == "completed"}
    for row in found.rows:
        if row.source in ("drawn", "proposed"):
            trial = trained[row.key]
            assert (row.spec, row.decisions, row.metrics) == (trial.spec, trial.proposal.decisions, trial.metrics)
            assert (row.controller, row.fidelity, row.seed) == ("RegularizedEvolution", Fidelity(5), 0)

    # What the study trains again with the search's seed, or with one of the replay, is one training.
    best = {trial.key for trial in best_trials(record.trials, 3)}
    study = read_record(tmp_path / "runs" / "a" / "proxy" / "study" / "configuration" / "seed1")
    studied = {trial.key for trial in study.trials.values()}
    expected = {(key, 0) for key in trained.keys() | studied} | {(key, 1) for key in best | studied}
    expected |= {(key, 2) for key in best}
    assert {(row.key, row.seed) for row in found.rows if row.spec is not None} == expected
    assert len(found.rows) == len(expected) + 1
    assert {row.source for row in found.rows} == {"drawn", "proposed", "given", "replay", "baseline"}

    (beside,) = [row for row in found.rows if row.source == "baseline"]
    assert (beside.key, beside.spec, beside.decisions, beside.metrics) == ("r50-fpn", None, None, {"ap": 0.5})

    assert done.stdout.startswith(f"table.jsonl.gz: {len(found.rows)} added, ")
    architectures = {row.key for row in found.rows if row.spec is not None}
    assert f"{len(found.rows)} rows, {len(architectures)} architectures, " in done.stdout
    assert ", 1 task, 1.00 hours of training, " in done.stdout


def test_equal_trainings_stand_once_and_the_bytes_are_the_same_in_any_order(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=8", *SMALL)
    search(call, "run=runs/b", "num_trials=8", "seed=1", *SMALL)
    shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / "copy")

    found = table_of(call, tmp_path, "runs/a", "runs/b", "runs/copy")
    assert len(found.rows) == 16
    first = (tmp_path / "table.jsonl.gz").read_bytes()
    assert call("nas.table", "run=[runs/copy,runs/b,runs/a]", "out=other.jsonl.gz").returncode == 0
    assert (tmp_path / "other.jsonl.gz").read_bytes() == first

    done = call("nas.table", "runs/a")
    assert "table.jsonl.gz: 0 added, 8 were there already\n16 rows, " in done.stdout
    assert (tmp_path / "table.jsonl.gz").read_bytes() == first
    assert "16 rows, 16 architectures, 0 with two seeds or more" in done.stdout


def test_a_table_is_added_to_and_loses_no_row_of_runs_that_are_gone(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=5")
    before = table_of(call, tmp_path, "runs/a")
    shutil.rmtree(tmp_path / "runs" / "a")

    search(call, "run=runs/b", "num_trials=5", "seed=1", "task.noise=0.2")
    after = table_of(call, tmp_path, "runs/b")
    assert {row.training for row in before.rows} < {row.training for row in after.rows}
    assert len(after.rows) == 10

    # Other noise is another task, and the first line has the options of both.
    assert [len([row for row in after.rows if row.task == task]) for task in after.tasks] == [5, 5]
    assert sorted(task.options["task.noise"] for task in after.tasks.values()) == [0.1, 0.2]
    assert len(after.spaces) == 1
    shown = call("nas.table", "runs/b").stdout
    assert ", 2 tasks, " in shown
    assert len(re.findall(r"^task [0-9a-f]{16}: 5 rows, 5 architectures, ", shown, re.M)) == 2


def test_what_is_written_while_a_table_waits_is_added_to(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=3")
    search(call, "run=runs/b", "num_trials=4", "seed=1")
    other = table_of(call, tmp_path, "runs/b")
    path = tmp_path / "table.jsonl.gz"
    path.unlink()

    has_lock = threading.Event()

    def write_late() -> None:
        with file_lock(path):
            has_lock.set()
            # Long enough for the command to have read and written, if it did not wait.
            time.sleep(0.5)
            write_table(path, other)

    writer = threading.Thread(target=write_late)
    writer.start()
    has_lock.wait()
    assert len(table_of(call, tmp_path, "runs/a").rows) == 7
    writer.join()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["runs", "table.jsonl.gz"]


@pytest.mark.parametrize(
    "options",
    [
        ("controller=random",),
        ("controller=evolution", *SMALL),
        ("controller=evolution", *SMALL, "controller.num_random=3"),
        ("controller=pareto_evolution", "reward=tradeoff", *SMALL),
        ("controller=local_search",),
        ("controller=guided", "controller.num_random=4", "controller.random_share=0"),
    ],
    ids=["random", "evolution", "evolution that begins early", "pareto evolution", "local search", "guided"],
)
def test_what_counts_as_drawn_is_what_the_space_draws_with_the_seed_of_the_trial(
    call: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    search(call, "run=runs/a", "num_trials=15", "space=spinenet", *options)
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    draws = {space.sample(np.random.default_rng([0, number])) for number in range(15)}
    sources = {row.decisions: row.source for row in table_of(call, tmp_path, "runs/a").rows}
    assert {decisions for decisions, source in sources.items() if source == "drawn"} == draws & sources.keys()
    assert set(sources.values()) <= {"drawn", "proposed"}


def test_promoted_trials_have_the_fidelity_of_their_rung(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=20", "promotion.num_rungs=2", "promotion.reduction=2", "fidelity.epochs=3")
    rows = table_of(call, tmp_path, "runs/a").rows
    promoted = [row for row in rows if row.source == "promoted"]
    assert promoted
    assert {(row.fidelity.epochs, row.is_continued) for row in promoted} == {(6.0, True)}
    assert {(row.fidelity.epochs, row.is_continued) for row in rows if row not in promoted} == {(3.0, False)}


def test_trainings_that_went_on_from_unlike_ones_are_two() -> None:
    # Rungs of 1 and 3 epochs, and of 1.5 and 3: the same amount in the end, by another way.
    rows = [
        TrainingRow(
            "task", "promoted", "r50-fpn", 0, Fidelity(3), {"ap": ap, "epochs_before": before}, is_continued=True
        )
        for ap, before in ((0.3, 1.0), (0.4, 1.5), (0.4, 1.5))
    ]
    assert EMPTY_TABLE.joined([TrainingTable({}, {}, tuple(rows))]).rows == tuple(rows[:2])


def test_a_run_under_way_is_read_as_far_as_it_has_come(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=5")
    journal = tmp_path / "runs" / "a" / FILE_NAME
    journal.write_bytes(journal.read_bytes()[:-30])
    (tmp_path / "runs" / "begun").mkdir()
    (tmp_path / "runs" / "begun" / FILE_NAME).write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    (tmp_path / "runs" / "report.html").write_text("a file beside the runs")

    done = call("nas.table", "runs/a", "runs/begun", "runs/report.html")
    assert (done.returncode, len(read_table(tmp_path / "table.jsonl.gz").rows)) == (0, 4)
    assert done.stderr == "".join(
        f"warning: runs/{name} holds no run that has begun, so that it adds nothing\n"
        for name in ("begun", "report.html")
    )


def test_folders_may_have_an_equals_sign_in_their_names(call: Run, tmp_path: Path) -> None:
    search(call, "run='runs/noise=0.1'", "num_trials=3")
    search(call, "run='runs/a b=1/c'", "num_trials=2", "seed=1")
    assert len(table_of(call, tmp_path, "runs/noise=0.1", "runs/a b=1/c").rows) == 5


def test_folders_without_any_run_make_no_table(call: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = call("nas.table", "empty")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "warning: empty holds no run that has begun, so that it adds nothing\n"
        "error: run: none of these holds a run that has begun; name run folders, as runs/*\n"
    )
    assert not (tmp_path / "table.jsonl.gz").exists()


def test_what_leads_out_of_a_run_folder_is_not_read(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=3")
    search(call, "run=elsewhere", "num_trials=3", "seed=1")
    (tmp_path / "runs" / "a" / "replays").mkdir()
    (tmp_path / "runs" / "a" / "replays" / "seed1").symlink_to(tmp_path / "elsewhere")
    done = call("nas.table", "runs/a")
    assert done.stderr == "warning: runs/a/replays/seed1 leads out of the run folder, so that it is not read\n"
    assert len(read_table(tmp_path / "table.jsonl.gz").rows) == 3


def test_mistakes_are_one_line_and_leave_the_file_as_it_is(call: Run, tmp_path: Path) -> None:
    search(call, "run=runs/a", "num_trials=3")
    whole = table_of(call, tmp_path, "runs/a")
    packed = (tmp_path / "table.jsonl.gz").read_bytes()
    header, *rows = gzip.decompress(packed).splitlines(keepends=True)
    newer = {**json.loads(header), "format_version": 2}
    other_key = rows[1].replace(whole.rows[1].key.encode(), b"0" * 16)

    for content, message in (
        (b"trials, and more", "out.gz: is no gzipped file"),
        (packed[:-20], "out.gz: is cut short or damaged"),
        (gzip.compress(b""), "out.gz, line 1: no table of trainings that this version reads: .*"),
        (gzip.compress(json.dumps(newer).encode()), "out.gz, line 1: no table .*: format_version: .* 1, got 2"),
        (gzip.compress(header + rows[0] + other_key), "out.gz, line 3: the spec's own key is .*, beside it stands 0+"),
        (gzip.compress(header.replace(whole.rows[0].task.encode(), b"x") + rows[0]), "out.gz, line 2: its task or .*"),
        (gzip.compress(header + b'{"task":1}\n'), r"out.gz, line 2: task: .*\(and 5 more\)"),
    ):
        (tmp_path / "out.gz").write_bytes(content)
        done = call("nas.table", "runs/a", "out=out.gz")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
        assert (tmp_path / "out.gz").read_bytes() == content

    # Damaged too: a place that cannot be written is said before any run is read.
    journal = tmp_path / "runs" / "a" / FILE_NAME
    journal.write_bytes(journal.read_bytes().replace(b'"trial":1,', b'"trial":9,'))
    below = call("nas.table", "runs/a", "out=out.gz/below.gz")
    assert (below.returncode, below.stderr) == (2, "error: out.gz is no folder: out=... needs another place\n")
    for arguments, message in (
        (("runs/a",), r"\S+journal.jsonl, line \d+: .*"),
        (("runs/b",), "no run at runs/b: there is no such folder"),
        (("runs/a", "run=runs/b"), "run: is given as runs/a and as run=; leave out one of them"),
        ((), "run: needs a value; --help explains it"),
        (("runs/a", "outt=x"), "unknown option outt; did you mean out?.*"),
        (("runs/a", "out=runs"), "cannot read runs: Is a directory"),
    ):
        done = call("nas.table", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
    assert (tmp_path / "table.jsonl.gz").read_bytes() == packed


@pytest.mark.long
def test_a_table_of_real_trainings_has_their_numerics_losses_and_data(call: Run, tmp_path: Path) -> None:
    done = call("nas.search", *TINY_SEARCH, "executor=local", "num_trials=2", "task.precision=float32")
    assert done.returncode == 0, done.stderr
    found = table_of(call, tmp_path, "run")
    trials = {trial.key: trial for trial in read_record(tmp_path / "run").trials.values()}
    for row in found.rows:
        assert isinstance(row.numerics, Numerics)
        assert (row.numerics, row.loss_curve) == (trials[row.key].numerics, trials[row.key].loss_curve)
        assert row.seconds["train"] == pytest.approx(trials[row.key].seconds["train"], abs=0.0005)

    (task,) = found.tasks.values()
    assert set(task.data or {}) == {"training annotations", "training images"}
    # Where data and cache lie is no part of what the task was.
    assert not {"task.data.root", "task.cache_dir"} & task.options.keys()
    assert task.options["task.data.num_train_images"] == 24
    assert "torch" in task.versions
