"""Leaderboard, export and replay of a run."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from nas.record.journal import read_record
from nas.record.trial import Trial, best_trials
from nas.replay import _agreement
from search_space import read_spec
from search_space.spec import short_key
from tests.conftest import TINY_LANDSCAPE, TINY_SEARCH, Run

TASK = ("task=landscape", "executor=local", "run=run")


@pytest.fixture
def run(call: Run, tmp_path: Path) -> Path:
    done = call("nas.search", *TINY_LANDSCAPE, "num_trials=30", "task.noise=0.1")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_the_leaderboard_ranks_the_trials(call: Run, run: Path) -> None:
    done = call("nas.leaderboard", "run=run", "top=4")
    assert done.returncode == 0, done.stderr
    best = best_trials(read_record(run).trials, 4)
    positions = [done.stdout.index(short_key(trial.key)) for trial in best]
    assert positions == sorted(positions)
    assert done.stdout.count("|") == 4 + 1


def test_the_leaderboard_is_sorted_and_filtered_by_any_figure(call: Run, run: Path) -> None:
    trials = [trial for trial in read_record(run).trials.values() if trial.reward is not None]
    limit = sorted(trial.metrics["macs"] for trial in trials)[15]
    where = f"where=macs<{limit!r} and ap > 0.3"
    done = call("nas.leaderboard", "run=run", where, "sort=-params", "top=null", "format=csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    expected = sorted(
        (trial for trial in trials if trial.metrics["macs"] < limit and trial.metrics["ap"] > 0.3),
        key=lambda trial: -trial.metrics["params"],
    )
    assert 3 < len(expected) <= 15
    assert [row["key"] for row in rows] == [trial.key for trial in expected]
    assert [float(row["macs"]) for row in rows] == [trial.metrics["macs"] for trial in expected]


def test_several_runs_stand_in_one_leaderboard(call: Run, run: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE[:2], "run=other", "num_trials=8", "seed=3").returncode == 0
    done = call("nas.leaderboard", "run=[run,other]", "top=null", "format=json")
    rows = json.loads(done.stdout)
    assert {row["run"] for row in rows} == {"run", "other"}
    assert [row["reward"] for row in rows] == sorted((row["reward"] for row in rows), reverse=True)
    shown = call("nas.leaderboard", "run=[run,other]", "top=40").stdout
    assert "run: 30 completed" in shown
    assert "other: 8 completed" in shown
    assert "Best of run, other" in shown


def test_the_leaderboard_says_which_trials_reused_a_result(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_LANDSCAPE, "controller=local_search", "space=around_spec", "space.connections=false")
    assert call("nas.search", *arguments, "num_trials=120").returncode == 0
    trials = read_record(tmp_path / "run").trials
    reused = {number: trial.reused_from for number, trial in trials.items() if trial.status == "reused"}
    assert reused
    done = call("nas.leaderboard", "run=run", "top=null", "format=json")
    told = {number: row["trial"] for row in json.loads(done.stdout) for number in row["reused_by"]}
    assert told == reused
    assert " reused " in call("nas.leaderboard", "run=run").stdout


def test_markdown_has_the_table_with_its_bars_escaped(call: Run, run: Path) -> None:
    table, _, line = call("nas.leaderboard", "run=run", "top=2", "format=markdown").stdout.partition("\n\n")
    assert line.startswith("Single trainings are ranked; ")
    lines = table.splitlines()
    assert lines[0].startswith("| # | trial | reward | AP | MACs |")
    assert lines[1].startswith("| ---: | ---: |")
    assert len(lines) == 4
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize("module", ["nas.leaderboard", "nas.export", "nas.report"])
def test_a_folder_of_runs_lists_the_runs_below_it(call: Run, tmp_path: Path, module: str) -> None:
    for name in ("a", "b/c"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "journal.jsonl").write_text("")
    done = call(module, "run=runs")
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: no run at .*runs: there is no journal.jsonl; runs below it are runs/a, runs/b/c\n", done.stderr
    )


@pytest.mark.parametrize("form", ["table", "csv", "json", "markdown"])
def test_a_filter_that_keeps_nothing_says_which_values_there_are(call: Run, run: Path, form: str) -> None:
    done = call("nas.leaderboard", "run=run", "where=ap>50", f"format={form}")
    values = [trial.metrics["ap"] for trial in read_record(run).trials.values() if trial.reward is not None]
    assert done.returncode == 0
    number = len({trial.key for trial in read_record(run).trials.values() if trial.reward is not None})
    shown = f"ap {min(values):.6g} to {max(values):.6g}"
    assert done.stderr == f"where: keeps none of {number} architectures, which have {shown}\n"


def test_ap_is_shown_in_the_unit_that_filters_take(call: Run, run: Path) -> None:
    best = max(trial.metrics["ap"] for trial in read_record(run).trials.values())
    for form in ("table", "markdown", "csv", "json"):
        shown = call("nas.leaderboard", "run=run", "top=1", f"format={form}").stdout
        fractions = [float(text) for text in re.findall(r"\b0\.\d+\b", shown)]
        assert [round(fraction, 4) for fraction in fractions[:2]] == [round(best, 4)] * 2  # reward and AP

        kept = call("nas.leaderboard", "run=run", f"where=ap>={fractions[1] - 1e-4}", f"format={form}")
        assert (f"{best:.3f}"[:-1] in kept.stdout, kept.stderr) == (True, "")


def test_figures_of_any_name_are_named_on_the_command_line(call: Run, run: Path) -> None:
    journal = run / "journal.jsonl"
    names = ("ap/T-shirt", "ap/parasail_(sports)", "ap/a and b", "ap/a<b", "a,b")
    for name in names:
        journal.write_text(journal.read_text().replace('"params":', f'{json.dumps(name)}:0.25,"params":'))
    for name in names:
        done = call("nas.leaderboard", "run=run", f'where="{name}">0.2 and ap>0', f"sort=-{name}", "format=csv")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 11
        done = call("nas.leaderboard", "run=run", f'sort="{name}"', "format=csv")
        assert len(done.stdout.splitlines()) == 11


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("where=macs~3", r"where: needs conditions such as macs<80e6, got 'macs~3'"),
        ("where=macs<many", r"where: needs conditions such as macs<80e6, got 'macs<many'"),
        ("where=speed<3", "where: no trial has speed; they have trial, rung, reward, seconds, ap, macs, params"),
        ("sort=-mac", "sort: no trial has mac; they have .*; did you mean macs\\?"),
        ("sort=-speed", "sort: no trial has speed; they have trial, rung"),
        ("format=xml", "format: Input should be 'table', 'csv', 'json' or 'markdown'"),
        ("run=[]", "run: needs a folder"),
    ],
)
def test_mistakes_in_options_of_the_leaderboard_are_one_line(call: Run, run: Path, option: str, message: str) -> None:
    done = (
        call("nas.leaderboard", "run=run", option) if not option.startswith("run") else call("nas.leaderboard", option)
    )
    assert done.returncode == 2
    assert re.fullmatch(rf"error: {message}.*\n", done.stderr)


def test_the_leaderboard_of_a_torn_run_works(call: Run, run: Path) -> None:
    journal = run / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:-20])
    done = call("nas.leaderboard", "run=run")
    assert done.returncode == 0
    assert "1 running" in done.stdout
    assert journal.read_bytes() == content[:-20]


def test_the_leaderboard_ranks_again_by_another_reward(call: Run, run: Path) -> None:
    before = (run / "journal.jsonl").read_bytes()
    arguments = ("reward=targets", "reward.macs.target=1e10", "reward.macs.weight=3", "top=3")
    done = call("nas.leaderboard", "run=run", *arguments)
    assert done.returncode == 0, done.stderr
    trials = [trial for trial in read_record(run).trials.values() if trial.reward is not None]

    def reward(trial: Trial) -> float:
        return trial.metrics["ap"] * min(1.0, 1e10 / trial.metrics["macs"]) ** 3

    expected = sorted(trials, key=reward, reverse=True)[:3]
    positions = [done.stdout.index(f"{reward(trial):.4f}") for trial in expected]
    assert positions == sorted(positions)
    assert [trial.key for trial in expected] != [trial.key for trial in best_trials(read_record(run).trials, 3)]
    assert (run / "journal.jsonl").read_bytes() == before


def test_the_leaderboard_shows_the_front(call: Run, run: Path) -> None:
    done = call("nas.leaderboard", "run=run", "reward=tradeoff", "front=true", "top=100")
    assert done.returncode == 0, done.stderr
    trials = best_trials(read_record(run).trials)
    points = {trial.key: (trial.metrics["ap"], -trial.metrics["macs"]) for trial in trials}
    # Distinct architectures seldom have equal figures here, so a front has none that is as good in both.
    front = {
        key for key, (a, b) in points.items() if not any(x >= a and y >= b for x, y in {*points.values()} - {(a, b)})
    }
    assert 1 < len(front) < len(points)
    assert {key for key in points if short_key(key) in done.stdout} == front
    assert f"{len(front)} architectures: none beats another in all of ap, macs" in done.stdout
    refused = call("nas.leaderboard", "run=run", "front=true")
    assert refused.stderr == "error: front=true needs a reward with costs, as reward=tradeoff\n"


def test_a_reward_that_the_journal_cannot_give_is_one_line(call: Run, run: Path) -> None:
    done = call("nas.leaderboard", "run=run", "reward=targets", "reward.latency_ms.target=5")
    assert done.returncode == 2
    assert done.stderr == "error: reward: no trial of the run has the metric latency_ms; they have ap, macs, params\n"
    given = ("reward=targets", "reward.macs.target=1e9", "reward.nope.target=null")
    done = call("nas.leaderboard", "run=run", *given)
    assert done.stderr == "error: reward: no trial of the run has the metric nope; they have ap, macs, params\n"
    done = call("nas.leaderboard", "run=run", "reward=targets")
    assert done.stderr == "error: reward: needs a target: macs.target, params.target or latency_ms.target\n"


def test_export_writes_the_best_specs_with_their_provenance(call: Run, run: Path, tmp_path: Path) -> None:
    done = call("nas.export", "run=run", "top=2", "out=mine")
    assert done.returncode == 0, done.stderr
    best = best_trials(read_record(run).trials, 2)
    assert done.stdout.split() == [f"mine/{i:02d}-{t.key}.json" for i, t in enumerate(best, start=1)]
    for line, trial in zip(done.stdout.split(), best, strict=True):
        document = read_spec(tmp_path / line)
        assert document.spec == trial.spec
        assert document.provenance is not None
        assert document.provenance.run == "run"
        assert document.provenance.trial == trial.number
        assert document.provenance.metrics == trial.metrics
        assert document.provenance.fidelity == {"epochs": 5.0, "max_train_images": None}
        assert document.scale is not None


def test_export_of_one_trial(call: Run, run: Path, tmp_path: Path) -> None:
    done = call("nas.export", "run=run", "trial=7")
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.split()
    assert path.startswith("run/export/01-")
    assert read_spec(tmp_path / path).spec == read_record(run).trials[7].spec
    wrong = call("nas.export", "run=run", "trial=99")
    assert wrong.returncode == 2
    assert "trial=99: " in wrong.stderr


def test_replay_trains_again_and_says_how_the_ranking_changed(call: Run, run: Path) -> None:
    arguments = (*TASK, "task.noise=0.1", "fidelity.epochs=50", "top=4")
    done = call("nas.replay", *arguments)
    assert done.returncode == 0, done.stderr
    replayed = read_record(run / "replays" / "epochs50.0-seed0")
    best = best_trials(read_record(run).trials, 4)
    assert {t.key for t in replayed.trials.values()} == {t.key for t in best}
    assert all(t.status == "completed" for t in replayed.trials.values())
    assert any(t.reward != {b.key: b.reward for b in best}[t.key] for t in replayed.trials.values())
    assert "pairs keep their order" in done.stdout
    # The search's own record is left alone.
    assert len(read_record(run).trials) == 30

    again = call("nas.replay", *arguments)
    assert again.returncode == 0
    assert len(read_record(run / "replays" / "epochs50.0-seed0").trials) == 4
    more = call("nas.replay", *arguments[:-1], "top=6")
    assert more.returncode == 0
    assert len(read_record(run / "replays" / "epochs50.0-seed0").trials) == 6

    # Its folder alone gives a search all options, and room for more trials; a controller must not fill it.
    refused = call("nas.search", "run=run/replays/epochs50.0-seed0")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: run/replays/epochs50.0-seed0 is a replay of run; to resume it, use nas.replay run=run with the options "
        "that it was begun with\n"
    )
    assert len(read_record(run / "replays" / "epochs50.0-seed0").trials) == 6


@pytest.mark.parametrize(("noise", "is_proposed"), [(0.0, False), (0.1, True)])
def test_a_search_proposes_a_replay_only_where_more_training_changes_something(
    call: Run, noise: float, is_proposed: bool
) -> None:
    done = call("nas.search", *TINY_LANDSCAPE, f"task.noise={noise}", "tracking=none")
    assert done.returncode == 0
    assert "Report:  " in done.stdout
    assert ("Replay:  " in done.stdout) == is_proposed


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([(0.3, 0.6), (0.2, 0.5), (0.1, 0.4)], "3 of 3 pairs keep their order; the best stays the best"),
        ([(0.3, 0.4), (0.2, 0.5), (0.1, 0.6)], "0 of 3 pairs keep their order; the best changes"),
        ([(0.3, 0.4), (0.3, 0.5), (0.1, 0.3)], "2 of 2 pairs keep their order (1 tied)"),
        ([(0.0, 0.0), (0.0, 0.0)], "0 of 0 pairs keep their order (1 tied)"),
    ],
)
def test_agreement_leaves_ties_out(pairs: list[tuple[float, float]], text: str) -> None:
    assert _agreement(pairs) == text


def test_replay_of_another_task_is_refused(call: Run, run: Path) -> None:
    done = call("nas.replay", *TASK, "task.noise=0.2", "fidelity.epochs=50")
    assert done.returncode == 2
    assert "was made with task.noise=0.1, now it is 0.2" in done.stderr


def test_a_run_without_rewards_has_nothing_to_export(call: Run, tmp_path: Path) -> None:
    from nas.record.journal import Journal

    Journal(tmp_path / "run", {}).close()
    for module, arguments in (("nas.export", ("run=run",)), ("nas.leaderboard", ("run=run",))):
        done = call(module, *arguments)
        assert "Traceback" not in done.stderr
    assert "no trials yet" in done.stdout


@pytest.mark.slow
def test_replay_scores_real_detectors_on_the_validation_set(call: Run, tmp_path: Path) -> None:
    arguments = (*TINY_SEARCH, "executor=local", "num_trials=2")
    assert call("nas.search", *arguments).returncode == 0
    # The run alone says which task on which data, how it is trained, and where.
    done = call("nas.replay", "run=run", "top=2", "fidelity.epochs=1", "task.score_on=val")
    assert done.returncode == 0, done.stderr
    replayed = read_record(tmp_path / "run" / "replays" / "epochs1.0-val-seed0")
    assert [trial.status for trial in replayed.trials.values()] == ["completed", "completed"]
    assert "pairs keep their order" in done.stdout
