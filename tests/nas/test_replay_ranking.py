"""Replays in leaderboards and reports: which of them count, what comes first, and what seeds leave open."""

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from foundation import InputError
from nas.engine.warm_start import WarmStart
from nas.record.architecture import base_of_space, find_architecture
from nas.record.baselines import Baseline, write_baseline
from nas.record.journal import read_record
from nas.record.mean_reward import MeanReward
from nas.record.ranking import Row
from nas.record.replays import comparable_replays
from nas.record.trial import best_trials
from nas.reporting import page_of, read_runs
from nas.reporting.ranked import ranking_of
from nas.terminal.tables import leaderboard_table
from search_space import ScalePermutedSpace, resnet_seed
from tests.conftest import Run
from tests.nas.reporting.reported_runs import config_of, write_run

FIDELITY = {"epochs": 5, "max_train_images": None}
TASK = {"_target_": "proxy_tasks.landscape.Landscape", "noise": 0.1}
DATA = {"root": "coco", "num_held_out": 8, "max_bad_share": 0.01}


def config(seed: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any option
    return config_of(seed=seed, **{"fidelity": FIDELITY, "task": TASK, **more})


def write_replays(run: Path, rewards: Mapping[int, list[float | None]], **more: Any) -> None:  # noqa: ANN401
    """Write a replay for each seed: `write_run` gives equal numbers the same architectures."""
    for seed, own in rewards.items():
        write_run(run / "replays" / f"epochs5.0-seed{seed}", own, config(seed, **more))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of five architectures, of which the first two have two replays, and the third failed in both."""
    folder = write_run(tmp_path / "run", [0.9, 0.8, 0.7, 0.3, 0.62], config(0))
    write_replays(folder, {1: [0.60, 0.70, None], 2: [0.62, 0.72, None]})
    return folder


def test_replayed_architectures_come_first_by_their_mean_in_every_format(call: Run, run: Path) -> None:
    rows = json.loads(call("nas.leaderboard", "run=run", "format=json").stdout)
    # By hand: both vary by 0.0002, so two means differ by 4.303 * 0.01414 = 0.061 or more, a mean and a single training
    # by 0.075, which 0.7 is within and 0.62 is not.
    assert [(row["trial"], row["standing"]) for row in rows] == [
        (1, "best"),
        (0, "behind"),
        (2, "may be as good"),
        (4, "behind"),
        (3, "behind"),
    ]
    assert [row.get("replay.mean") for row in rows] == [pytest.approx(0.71), pytest.approx(0.61), None, None, None]
    assert rows[0]["replay.deviation"] == pytest.approx(0.0141421, rel=1e-5)
    assert (rows[0]["replay.trainings"], rows[0]["reward"]) == (2, 0.8)

    lines = list(csv.DictReader(io.StringIO(call("nas.leaderboard", "run=run", "format=csv").stdout)))
    assert [line["trial"] for line in lines] == ["1", "0", "2", "4", "3"]
    assert [line["replay.trainings"] for line in lines] == ["2", "2", "", "", ""]

    known = (
        "The standard deviation between seeds is 0.014 (degrees of freedom: 2): to be told apart, two means of 2 must "
        "differ by 0.061, a mean and a single training by 0.075, two single trainings by 0.086; ~ marks what may be as "
        "good as the best."
    )
    for form, gap in (("table", " +"), ("markdown", r" \| ")):
        shown = call("nas.leaderboard", "run=run", f"format={form}").stdout
        for texts in (("1", "1", "0.7100", "0.0141", "2", "0.8000"), ("2", "0", "0.6100", "0.0141", "2", "0.9000")):
            assert re.search(gap.join(texts), shown)
        assert re.search(r"\b3~[ |]+2[ |]+0\.7000", shown)
        assert known in shown

    # Filters leave the deviation as it is, and the best is the best of what is left.
    kept = json.loads(call("nas.leaderboard", "run=run", "where=reward<0.75", "format=json").stdout)
    assert [(row["trial"], row["standing"]) for row in kept] == [(2, "best"), (4, "may be as good"), (3, "behind")]
    by_mean = json.loads(call("nas.leaderboard", "run=run", "sort=replay.mean", "top=1", "format=json").stdout)
    assert (by_mean[0]["trial"], by_mean[0]["standing"]) == (0, "behind")


@pytest.mark.long
def test_baselines_that_were_replayed_have_means_everywhere_and_an_interval_to_the_best(call: Run, run: Path) -> None:
    folders = {run: 0.75, **{run / "replays" / f"epochs5.0-seed{seed}": 0.5 + seed / 50 for seed in (1, 2)}}
    for folder, reward in folders.items():
        metrics = {"ap": reward, "params": 3e5}
        write_baseline(folder, Baseline(name="known", status="completed", reward=reward, metrics=metrics))
    write_baseline(run, Baseline(name="other", status="completed", reward=0.9, metrics={"ap": 0.9}))

    rows = json.loads(call("nas.leaderboard", "run=run", "format=json").stdout)
    known, other = rows[-2:]
    assert (known["baseline"], known["reward"], known["replay.trainings"]) == ("known", 0.75, 2)
    assert (known["replay.mean"], known["replay.deviation"]) == (
        pytest.approx(0.53),
        pytest.approx(0.0141421, rel=1e-5),
    )
    assert (other["baseline"], other["reward"]) == ("other", 0.9)
    assert "replay.mean" not in other

    # By hand: each of three varies by 0.0002, so two means of 2 differ by 3.182 * 0.01414 = 0.045 or more.
    line = (
        "Baselines: the best of 2 means, 0.7100, is above known (0.5300): +0.1800, 95 % interval +0.1350 to +0.2250; "
        "no interval to other, which lacks several seeds. The best was picked by its mean, which the intervals "
        "leave out."
    )
    for form, gap in (("table", " +"), ("markdown", r"[ |]+")):
        shown = call("nas.leaderboard", "run=run", "sort=reward", "top=1", f"format={form}").stdout
        for texts in (("baseline", "known", "0.5300", "0.0141", "2", "0.7500"), ("baseline", "other", "0.9000")):
            assert re.search(gap.join(texts), shown)
        assert "degrees of freedom: 3" in shown
        assert shown.endswith(f"\n\n{line}\n")

    text = re.sub("<[^>]+>", " ", page_of(read_runs([run]), top=3))
    assert line in text
    assert re.search(r"baseline known\s+0\.5300\s+0\.0141\s+2\s+0\.7500\s", text)
    assert re.search(r"baseline other\s+0\.9000\s", text)
    assert "best less this" not in text


@pytest.mark.long
def test_export_and_a_run_as_a_spec_take_the_best_that_the_leaderboard_shows_and_say_so(
    call: Run, tmp_path: Path
) -> None:
    whole: dict[str, Any] = {"scale": {}}
    run = write_run(tmp_path / "run", [0.9, 0.8, 0.7], config(0, **whole))
    exported = call("nas.export", "run=run", "top=1")
    assert (exported.returncode, exported.stderr) == (0, "")
    assert find_architecture("run").name == "run-0"

    # Of the runs' architectures, trial 1 has the highest mean.
    write_replays(run, {1: [0.60, 0.70], 2: [0.62, 0.72]}, **whole)
    shown = json.loads(call("nas.leaderboard", "run=run", "format=json").stdout)
    exported = call("nas.export", "run=run", "top=3")
    paths = [tmp_path / line for line in exported.stdout.splitlines()]
    trials = [json.loads(path.read_text())["provenance"]["trial"] for path in paths]
    assert trials == [row["trial"] for row in shown] == [1, 0, 2]
    by_mean = "run: best by means over replays, as nas.leaderboard ranks: trial 1, mean 0.7100 (n 2)\n"
    drawn = call("nas.draw", "spec=run", "format=svg")
    assert (drawn.stdout, drawn.stderr, exported.stderr) == ("run-1.svg\n", by_mean, by_mean)
    assert call("nas.draw", "spec=run", "trial=0", "format=svg").stderr == ""

    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    key = best_trials(read_record(run).trials)[1].key
    (decisions,) = WarmStart(specs=("run",)).decisions(space)
    assert space.decode(decisions).key == key == space.decode(WarmStart(run=run, top=1).decisions(space)[0]).key
    with pytest.raises(InputError, match=r"give space\.base\.trial=1, which is the best now"):
        base_of_space("run")


def test_another_reward_ranks_the_replays_by_it_too(call: Run, run: Path) -> None:
    options = ("reward=targets", "reward.params.target=150000", "reward.params.weight=1")
    rows = json.loads(call("nas.leaderboard", "run=run", *options, "format=json").stdout)
    # All have 300,000 parameters.
    assert [row["trial"] for row in rows][:2] == [1, 0]
    assert rows[0]["replay.mean"] == pytest.approx(0.355)


def test_the_report_has_means_deviations_and_what_may_be_as_good(run: Path) -> None:
    text = re.sub("<[^>]+>", " ", page_of(read_runs([run]), top=3))
    assert re.search(r"best mean reward\s+0\.7100 ± 0\.0141", text)
    assert re.search(r"1\s+0\.7100 ± 0\.0141\s+trial 1, mean of 2 trainings, 0\.8000 in the search", text)
    assert re.search(r"3~\s+0\.7000\s+trial 2,", text)
    assert "two means of 2 must differ by 0.061, a mean and a single training by 0.075" in text
    assert "Trained once and not shown to be worse than the best: 1 architectures." in text
    assert re.search(r"trial 0 \w{6}\s+2\s+0\.6100\s+0\.0141\s+2\s+0\.9000\s+behind", text)


def test_where_seeds_are_not_known_single_trainings_are_ranked_and_the_command_is_named(
    call: Run, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", [0.9, 0.8, 0.7], config(0))
    other = write_run(tmp_path / "other", [0.5], config(0, task={**TASK, "noise": 0.3}))
    options = "nas.replay run=run top=12 seeds=3"
    line = "Single trainings are ranked; how far seeds of one architecture differ is not known. This tells: "
    for form in ("table", "markdown"):
        shown = call("nas.leaderboard", "run=run", f"format={form}").stdout
        assert re.search(rf"{re.escape(line)}\S+ -m {options}\n", shown)
    assert ranking_of(read_runs([run])).line(3) == f"{line}python -m {options}"
    for form in ("csv", "json"):
        assert "Single" not in call("nas.leaderboard", "run=run", f"format={form}").stdout

    # One seed gives a mean of one, which comes first; it says nothing of the deviation.
    write_replays(run, {1: [0.6]})
    shown = call("nas.leaderboard", "run=run").stdout
    assert re.search(r"1 +0 +0\.6000 +1 +0\.9000", shown)
    assert "~" not in shown
    assert line in shown
    # No deviation holds for runs of two tasks.
    write_replays(run, {2: [0.7]})
    together = call("nas.leaderboard", "run=[run,other]").stdout
    assert "seeds" not in together
    assert ranking_of(read_runs([run, other])).line(3) == ""


REPLAYS: tuple[tuple[str, bool, dict[str, Any]], ...] = (
    ("alike", True, {}),
    ("with the search's own seed", False, {"seed": 0}),
    ("longer", False, {"fidelity": {**FIDELITY, "epochs": 6}}),
    ("on fewer images", False, {"fidelity": {**FIDELITY, "max_train_images": 10}}),
    ("scored on other data", False, {"task": {**TASK, "score_on": "val", "data": DATA}}),
    ("on another machine", True, {"task": {**TASK, "score_on": "held_out", "cache_dir": "/b", "data": DATA}}),
    ("by a younger version", True, {"task": {**TASK, "latency": False, "score_on": "held_out", "data": DATA}}),
    ("where its data was moved to", True, {"task": {**TASK, "score_on": "held_out", "data": {**DATA, "root": "/b"}}}),
)


@pytest.mark.parametrize(("how", "counts", "options"), REPLAYS, ids=[how for how, _, _ in REPLAYS])
def test_a_replay_counts_where_it_trains_and_scores_as_the_search_with_another_seed(
    tmp_path: Path, how: str, counts: bool, options: dict[str, Any]
) -> None:
    content = {"training images": "1c07"}
    task = {**TASK, "score_on": "held_out", "cache_dir": "/a", "data": DATA}
    run = write_run(tmp_path / "run", [0.9], config(0, task=task), data=content, data_places=("data.root",))
    own = config(**{"seed": 1, "task": task, **options})
    write_run(run / "replays" / "one", [0.8], own, data={**content, "validation images": "9be2"})
    assert len(comparable_replays(run, read_record(run))) == counts


def test_a_copy_of_a_replay_is_no_further_training(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.9], config(0))
    for name in ("epochs5-seed1", "backup"):
        write_run(run / "replays" / name, [0.8], config(1))
    assert len(comparable_replays(run, read_record(run))) == 1


@pytest.mark.parametrize("keeps_weights", [True, False], ids=["kept weights", "from scratch"])
def test_of_promoted_trials_a_replay_counts_that_trains_as_long_and_single_ones_compare_where_trained_from_scratch(
    call: Run, tmp_path: Path, keeps_weights: bool
) -> None:
    own = config(0, promotion={"num_rungs": 3, "reduction": 4, "keep_weights": keeps_weights})
    run = write_run(tmp_path / "run", [0.9, 0.8, 0.7, 0.6], own, promoted_from=2)
    write_baseline(run, Baseline(name="known", status="completed", reward=0.5))
    replay = r"nas\.replay run=run top=12 seeds=3 fidelity\.epochs=20\n"
    lines = rf"This tells: \S+ -m {replay}\nBaselines: .* of each: \S+ -m {replay}"
    assert re.search(lines, call("nas.leaderboard", "run=run").stdout)
    (section,) = re.findall("<h2>Baselines</h2>.*?</section>", page_of(read_runs([run]), top=3))
    assert "with several seeds: python -m nas.replay run=run top=12 seeds=3 fidelity.epochs=20<" in section

    for seed, epochs in ((1, 5), (2, 20), (3, 20.0), (4, 80)):
        longer = config(seed, fidelity={**FIDELITY, "epochs": epochs})
        write_run(run / "replays" / f"{seed}", [0.5 + seed / 100], longer)
    rows = json.loads(call("nas.leaderboard", "run=run", "format=json").stdout)
    assert (rows[0]["trial"], rows[0]["replay.mean"]) == (0, pytest.approx(0.525))
    # Rewards of less training do not compare with the means, and neither do those that continued from kept weights.
    standings = {row["trial"]: row.get("standing") for row in rows}
    single = None if keeps_weights else "may be as good"
    assert standings == {0: "best", 1: None, 2: single, 3: single, None: None}
    front = json.loads(call("nas.leaderboard", "run=run", "reward=tradeoff", "front=true", "format=json").stdout)
    assert {row["trial"] for row in front} <= {2, 3}

    # Nor is it said by how much figures that do not compare must differ. By hand: 12.706 * 0.00707 = 0.09.
    shown, page = call("nas.leaderboard", "run=run").stdout, page_of(read_runs([run]), top=3)
    for text in (shown, page):
        assert "to be told apart, two means of 2 must differ by 0.09" in text
        assert ("two single trainings by" in text) != keeps_weights
    assert ("~" in shown) != keeps_weights
    assert ("not shown to be worse than the best: 2 arch" in page) != keeps_weights
    assert "between seeds" not in call("nas.leaderboard", "run=run", "where=rung<1 and reward<0.85").stdout


def test_runs_whose_promoted_trials_were_trained_for_other_amounts_have_no_common_deviation(tmp_path: Path) -> None:
    runs = []
    for reduction in (2, 4):
        own = config(0, promotion={"num_rungs": 2, "reduction": reduction, "keep_weights": False})
        runs.append(write_run(tmp_path / f"run{reduction}", [0.9, 0.8], own, promoted_from=1))
        for seed in (1, 2):
            longer = config(seed, fidelity={**FIDELITY, "epochs": 5 * reduction})
            write_run(runs[-1] / "replays" / f"{seed}", [0.5 + seed / 100], longer)
    assert ranking_of(read_runs(runs[:1])).seeds.deviation is not None
    assert not ranking_of(read_runs(runs)).seeds.are_comparable


@pytest.mark.parametrize("what", ["replays", "replays/epochs5.0-seed1", "replays/epochs5.0-seed1/baselines"])
def test_a_replay_that_leads_out_of_the_run_folder_is_left_out_with_one_line(
    call: Run, tmp_path: Path, what: str
) -> None:
    run = write_run(tmp_path / "run", [0.9], config(0))
    write_replays(run, {1: [0.8], 2: [0.7]})
    for seed in (1, 2):
        write_baseline(run / "replays" / f"epochs5.0-seed{seed}", Baseline(name="a", status="completed", reward=0.5))
    (run / what).rename(tmp_path / "outside")
    (run / what).symlink_to(tmp_path / "outside")

    shown = call("nas.leaderboard", "run=run", "format=json")
    found = json.loads(shown.stdout)[0]
    assert (shown.returncode, found.get("replay.mean")) == (0, None if what == "replays" else 0.7)
    written = call("nas.report", "run=run")
    assert (written.returncode, "best mean reward" in (run / "report.html").read_text()) == (0, what != "replays")
    left_out = r"warning: run/replays\S* leads out of the run folder, so that it is not read; put what it .*\n"
    for done in (shown, written):
        assert re.fullmatch(left_out, done.stderr)


@pytest.mark.parametrize(("width", "num_left_out"), [(80, 3), (60, 6)])
def test_means_fit_where_the_terminal_is_narrow(run: Path, width: int, num_left_out: int) -> None:
    metrics = {"ap": 0.5, "ap50": 0.6, "macs": 2.25e9, "params": 1.25e6, "latency_ms": 12.34}
    (best, *_) = best_trials(read_record(run).trials)
    trial = type(best)(best.number, best.proposal, best.spec, best.key, reward=0.5, metrics=metrics)
    rows = [Row(trial, replayed=MeanReward(0.71, 0.0141, 3), standing="may be as good") for _ in range(12)]
    out = io.StringIO()
    Console(file=out, width=width, markup=False).print(leaderboard_table(rows, "Best", width))
    _, heads, *lines = out.getvalue().splitlines()
    assert heads.split()[:6] == ["#", "trial", "mean", "±", "n", "reward"]
    assert lines[11].split()[:6] == ["12~", "0", "0.7100", "0.0141", "3", "0.5000"]
    assert max(map(len, (heads, *lines))) <= width
    left_out = " ".join(lines[12:]).partition("Left out for want of space: ")[2].split(", ")
    assert len(left_out) == num_left_out
