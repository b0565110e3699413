"""The report of runs: its values, and what stands in the file."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nas.record.events import Asked, AttemptFailed, Created, Told
from nas.record.journal import FILE_NAME, read_record
from nas.record.record import Record
from nas.record.trial import Failure, best_trials
from nas.reporting.cards import cards
from nas.reporting.curves import best_so_far, mean_curves
from nas.reporting.failures import failure_rows
from nas.reporting.loss_curves import loss_curves
from nas.reporting.occurrence import Feature, Learned, learned_by_group
from nas.reporting.page import page_of
from nas.reporting.ranked import ranking_of
from nas.reporting.resolution import splits_of
from nas.reporting.runs import ReportedRun, cautions
from nas.reporting.trials import trial_columns
from nas.reporting.wall_time import WallTime, wall_time
from search_space import Decision, published_spec, read_spec
from search_space.resolution import has_resolution_paths
from search_space.spec import short_form
from tests.conftest import TINY_LANDSCAPE, Run
from tests.nas.reporting.reported_runs import (
    EVOLUTION,
    HOSTILE,
    RANDOM,
    config_of,
    reported,
    rewards_of,
    write_run,
)


class Page(HTMLParser):
    """What a page holds, checked while it is read: every element is closed in order, no id stands twice."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        # plotly.js is two megabytes of base64, which this parser takes seconds to pass over.
        text = re.sub(r'(id="plotly">)[\w+/=]+', r"\1", text)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.data = ""
        self._is_data = False
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self._is_data = tag == "script" and ("id", "data") in attrs

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._is_data = False

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data += data
        elif "script" not in self.open and "style" not in self.open:
            self.text.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "action", "xlink:href"):
                self.addresses.append(value or "")


def page_text(*runs: Path) -> str:
    return "".join(Page(page_of(reported(*runs), top=3)).text)


# --- values


def test_columns_hold_every_trial(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rewards_of(30))
    columns, record = trial_columns(reported(run)), read_record(run)
    assert columns.trial == tuple(range(30))
    for i, trial in record.trials.items():
        assert columns.reward[i] == (None if trial.reward is None else pytest.approx(trial.reward, rel=1e-6))
        assert (columns.key[i], columns.status[i]) == (trial.key, trial.status)
        assert columns.spec[i] == short_form(trial.spec.blocks)
        assert columns.failure[i] == ("" if trial.failure is None else "nan: the loss is nan")
        assert columns.metrics["macs"][i] == (pytest.approx(trial.metrics["macs"]) if trial.metrics else None)


def test_the_mean_curve_goes_as_far_as_the_shortest_run(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [None, 0.2, 0.1, 0.6])
    b = write_run(tmp_path / "b", [0.4, 0.4, 0.8])
    c = write_run(tmp_path / "c", [0.5], config_of(RANDOM))
    curves = mean_curves(reported(a, b, c))
    # By hand: best so far of a is -, 0.2, 0.2, 0.6, of b 0.4, 0.4, 0.8.
    assert (curves["evolution"].results, curves["evolution"].mean) == ((2, 3), (0.3, 0.5))
    # Two runs drawn from two: the mean is that of one of them in a quarter of all draws each.
    assert (curves["evolution"].low, curves["evolution"].high) == ((0.2, 0.2), (0.4, 0.8))
    assert (curves["random"].mean, curves["random"].low) == ((0.5,), ())
    assert best_so_far(read_record(a)).tolist()[1:] == [0.2, 0.2, 0.6]


def test_runs_are_grouped_by_what_searched(tmp_path: Path) -> None:
    large = {**EVOLUTION, "population_size": 100}
    configs = [config_of(), config_of(seed=1), config_of(large), config_of(RANDOM, task={"noise": 0.1})]
    runs = reported(*(write_run(tmp_path / str(i), [0.1], config) for i, config in enumerate(configs)))
    small = "evolution, population_size=50"
    assert [run.group for run in runs] == [small, small, "evolution, population_size=100", "random"]
    assert cautions(runs) == ["task.noise"]


def test_runs_that_differ_in_what_no_metric_depends_on_get_no_caution(tmp_path: Path) -> None:
    for name, share in (("a", 0.01), ("b", 0.3)):
        data = {"max_bad_share": share, "num_held_out": 8}
        task = {"cache_dir": f"/mnt/{name}", "data": data}
        write_run(tmp_path / name, [0.1], config_of(data=data, task=task))
    assert cautions(reported(tmp_path / "a", tmp_path / "b")) == []


def test_an_older_run_and_one_with_the_value_that_it_had_solve_one_problem(tmp_path: Path) -> None:
    older, younger = {"width_multiplier": 0.25}, {"width_multiplier": 0.25, "stem_width": 64}
    for name, scale in (("older", older), ("younger", younger), ("narrow", {**younger, "stem_width": 16})):
        write_run(tmp_path / name, [0.1], config_of(scale=scale, task={"scale": scale}))
    assert cautions(reported(tmp_path / "older", tmp_path / "younger")) == []
    assert "scale.stem_width" in cautions(reported(tmp_path / "older", tmp_path / "narrow"))


@pytest.mark.parametrize("place", ["root", "bucket"])
def test_data_is_compared_by_its_content_where_that_is_on_record_whatever_its_place_is_called(
    tmp_path: Path, place: str
) -> None:
    def run_on(name: str, at: str, data: dict[str, str] | None) -> Path:
        options = {place: at, "num_held_out": 8}
        config = config_of(data=options, task={"data": options})
        return write_run(tmp_path / name, [0.1], config, data=data, data_places=(f"data.{place}",) if data else None)

    here = run_on("here", "coco", {"training images": "1c07"})
    moved = run_on("moved", "/mnt/coco", {"training images": "1c07", "validation images": "9be2"})
    changed = run_on("changed", "coco", {"training images": "d41d"})
    older = run_on("older", "/mnt/coco", None)
    assert cautions(reported(here, moved)) == []
    assert cautions(reported(here, changed)) == ["training images"]
    unused = write_run(tmp_path / "unused", [0.1], config_of(data={"max_bad_share": 0.01}))
    assert cautions(reported(unused, write_run(tmp_path / "no_data", [0.1]))) == []
    assert cautions(reported(here, moved, older)) == [f"data.{place}", f"task.data.{place}"]


def test_shares_are_those_of_the_best_tenth(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [i / 100 for i in range(60)])
    (learned,) = learned_by_group(reported(run)).values()
    assert (learned.num_all, learned.num_top) == (60, 6)
    trials = best_trials(read_record(run).trials)
    kinds = next(feature for feature in learned.features if feature.name == "kind of a block")
    blocks = [block.kind for trial in trials[:6] for block in trial.spec.blocks]
    assert kinds.options == ("bottleneck", "residual")
    assert kinds.of_top[1] == pytest.approx(blocks.count("residual") / len(blocks), abs=1e-4)
    assert all(low <= share <= high for low, share, high in zip(kinds.low, kinds.of_top, kinds.high, strict=True))
    for feature in learned.features:
        assert sum(feature.of_top) == pytest.approx(1, abs=1e-3)
        assert sum(feature.of_all) == pytest.approx(1, abs=1e-3)


def learned_from(run: Path) -> Learned:
    (learned,) = learned_by_group(reported(run)).values()
    return learned


def test_level_offsets_are_those_that_were_chosen(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.1] * 50)
    offsets = next(f for f in learned_from(run).features if f.name == "level offset against the base")
    assert offsets.options == ("-1", "0", "1", "2")
    mean = sum(int(word) * share for word, share in zip(offsets.options, offsets.of_all, strict=True))
    levels = [
        sum(block.level for block in trial.spec.blocks if not block.is_output)
        for trial in read_record(run).trials.values()
    ]
    # Ten intermediate blocks of ResNet-50: levels 2, 3, 3, 3, 4, 4, 4, 4, 4, 5.
    assert np.mean(levels) == pytest.approx(36 + 10 * mean, abs=0.02)


def test_steps_back_to_parents_are_those_of_the_specs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.1] * 50)
    features = {feature.name: feature for feature in learned_from(run).features}
    for name, is_output in (("intermediate blocks", False), ("outputs", True)):
        # Feature 0 and 1 are the stem's, block i is feature i + 2.
        steps = [
            str(i + 2 - parent)
            for trial in read_record(run).trials.values()
            for i, block in enumerate(trial.spec.blocks)
            for parent in block.parents
            if block.is_output == is_output
        ]
        feature = features[f"steps back to a parent, {name}"]
        assert feature.options == tuple(sorted(set(steps), key=int))
        assert feature.of_all == pytest.approx([steps.count(word) / len(steps) for word in feature.options], abs=1e-4)


def test_what_is_counted_is_what_architectures_differ_in(tmp_path: Path) -> None:
    names = [feature.name for feature in learned_from(write_run(tmp_path / "run", [0.1] * 50)).features]
    # The order of levels is a permutation: each architecture has the same.
    assert names == [
        "level of an intermediate block",
        "kind of a block",
        "level offset against the base",
        "steps back to a parent, intermediate blocks",
        "steps back to a parent, outputs",
    ]


WIDTHS = tuple(Decision(f"stage{i}.width", ("small", "large")) for i in (1, 2))


def run_of_own_space(chosen: Sequence[tuple[int, ...]]) -> ReportedRun:
    """Return a run over a space of somebody's own, whose first trials are the best."""
    record = Record(Created(config={}, versions={}, decisions=WIDTHS))
    spec = published_spec("spinenet-49")
    for number, options in enumerate(chosen):
        record.add(Asked(trial=number, decisions=options, key=f"{number:016x}", spec=spec))
        record.add(Told(trial=number, status="completed", reward=1 - number / 100))
    return ReportedRun("run", "mine", {}, record)


def test_decisions_of_any_space_are_counted_by_family_in_the_order_of_their_options() -> None:
    # The best tenth are the first five: seven large, three small. In all there are 8 large of 100.
    chosen = [(1, 1), (1, 1), (1, 0), (1, 0), (0, 1), (0, 1), *[(0, 0)] * 44]
    learned = learned_by_group([run_of_own_space(chosen)])["mine"]
    # Of five architectures with 2, 2, 1, 1, 1 large choices, means of five draws lie between 0.5 and 1 of two.
    whole = Feature("width", ("small", "large"), (0.92, 0.08), (0.3, 0.7), (0.1, 0.5), (0.5, 0.9))
    assert learned.features == (whole,)


def test_a_family_that_is_as_often_in_every_architecture_is_left_out() -> None:
    chosen = [(i % 2, 1 - i % 2) for i in range(50)]
    assert learned_by_group([run_of_own_space(chosen)])["mine"].features == ()


@pytest.mark.parametrize("wrong", [(), (1,), (1, 1, 1), (-1, 2)])
def test_decisions_that_are_not_of_the_space_are_not_counted(wrong: tuple[int, ...]) -> None:
    chosen = [(1, 1), (1, 0), (0, 1), *[(0, 0)] * 46, wrong]
    (width,) = learned_by_group([run_of_own_space(chosen)])["mine"].features
    assert width.of_all == pytest.approx((94 / 98, 4 / 98), abs=1e-4)


def test_a_run_of_an_older_version_has_what_its_specs_say(tmp_path: Path) -> None:
    new, old = write_run(tmp_path / "new", [0.1] * 50), write_run(tmp_path / "old", [0.1] * 50, decisions=())
    with_decisions, without = learned_from(new), learned_from(old)
    by_name = {feature.name: feature for feature in with_decisions.features}
    assert [feature.name for feature in without.features] == [
        "level of an intermediate block",
        "kind of a block",
        "steps back to a parent, intermediate blocks",
        "steps back to a parent, outputs",
    ]
    # The same choices, counted from the spec that they lead to.
    assert all(feature == by_name[feature.name] for feature in without.features)
    assert without.positions == with_decisions.positions
    # Beside a new run of its group it changes nothing of what that one says.
    (both,) = learned_by_group(reported(new, old)).values()
    assert {feature.name: feature.of_all for feature in both.features} == {
        feature.name: feature.of_all for feature in with_decisions.features
    }

    for runs, sentence in (
        ((old,), "Of this run, recorded by an older version"),
        ((new, old), "Of old, recorded by an older version"),
        ((new,), ""),
    ):
        text = page_text(*runs)
        assert sentence in text
        assert ("older version" in text) == bool(sentence)


def test_the_levels_of_the_report_need_no_space_that_this_package_knows(tmp_path: Path) -> None:
    space = {"_target_": "os.system", "base": {"_target_": "os.system", "name": "x"}}
    run = write_run(tmp_path / "run", [0.1] * 50, config_of(space=space))
    assert len(learned_from(run).features) == 5


@pytest.mark.parametrize("num_architectures", [49, 50])
def test_of_few_architectures_the_page_says_that_they_are_too_few(tmp_path: Path, num_architectures: int) -> None:
    run = write_run(tmp_path / "run", [i / 100 for i in range(num_architectures)])
    learned = learned_by_group(reported(run)).values()
    assert [(found.num_all, found.num_top) for found in learned] == ([] if num_architectures < 50 else [(50, 5)])
    # Every share that is shown has its whiskers, as the page promises.
    assert all(len(feature.low) == len(feature.of_top) for found in learned for feature in found.features)

    text = page_text(run)
    assert ("Too few trials: the best tenth says something from 50" in text) == (num_architectures < 50)
    assert ("Whiskers" in text) == (num_architectures >= 50)


def test_wall_time_is_the_time_in_which_trials_ran(tmp_path: Path) -> None:
    # By hand: 0 to 30 s and 10 to 40 s overlap; after a pause of an hour one more runs for 5 s. The worker that is free
    # at 30 s takes the fourth trial at once, which makes no third worker.
    run = write_run(tmp_path / "run", [0.1, 0.2, 0.3, 0.4])
    ends = {0: (1030.0, 30.0), 1: (1040.0, 30.0), 2: (4640.0, 5.0), 3: (1040.0, 10.0)}
    lines = [json.loads(line) for line in (run / FILE_NAME).read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["event"] == "told":
            line["time"], seconds = ends[line["trial"]]
            line["seconds"] = {"train": seconds}
    (run / FILE_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    assert wall_time(read_record(run)) == WallTime(seconds=45.0, most_at_once=2)
    text = page_text(run)
    assert "time in trials75 s" in text
    assert "wall time45 s" in text
    assert "most trials at a time2" in text


def test_a_card_holds_a_spec_file_and_its_blocks_in_words(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.1, 0.2])
    best, _ = cards(ranking_of(reported(run)).architectures, names_run=False)
    spec = read_record(run).trials[1].spec
    (tmp_path / "spec.json").write_text(best.spec_file, encoding="utf-8")
    assert read_spec(tmp_path / "spec.json").spec == spec
    assert (best.title, best.figures.split(",")[0]) == ("trial 1", "reward 0.2000")
    assert list(best.blocks) == ["stem 1", "stem 2", *(str(feature) for feature in range(2, 17))]

    # Feature 0 and 1 are the last blocks of the stem.
    names = list(best.blocks)
    last = spec.blocks[-1]
    first, second = (names[parent] for parent in last.parents)
    assert best.blocks["16"] == f"level {last.level}, {last.kind}, from {first} and {second}, output"


def test_failures_are_counted_with_the_attempts_that_were_run_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0.1, None, None])
    lost = AttemptFailed(trial=3, failure=Failure("worker_lost", "gone"))
    asked = (run / FILE_NAME).read_text(encoding="utf-8").splitlines()[1].replace('"trial":0', '"trial":3')
    with (run / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(f"{asked}\n{lost.model_dump_json(exclude_none=True)}\n")
    rows = [(row.kind, row.num_trials, row.num_retried, row.first_trial) for row in failure_rows(reported(run))]
    assert rows == [("nan", 2, 0, 1), ("worker_lost", 0, 1, 3)]


def test_loss_curves_are_those_of_the_trials_best_first(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", [0.2, None, 0.7])
    b = write_run(tmp_path / "b", [0.5, 0.1], num_parts=3)
    c = write_run(tmp_path / "c", [0.9], num_parts=0)
    runs = reported(a, b, c)
    curves, columns = loss_curves(runs), trial_columns(runs)
    # The failed one and the one without a curve are left out.
    assert [columns.reward[index] for index in curves.index] == [0.7, 0.5, 0.2, 0.1]
    assert [(columns.run[index], columns.trial[index]) for index in curves.index] == [(0, 2), (1, 0), (0, 0), (1, 1)]
    assert [len(loss) for loss in curves.loss] == [20, 3, 20, 3]
    # By hand: 0.3 + 2.2, 0.3 + 2.2 / 2, 0.3 + 2.2 / 3 to five digits.
    assert curves.loss[1] == (2.5, 1.4, 1.0333)
    assert curves.num_found == 4


def test_of_many_loss_curves_the_best_and_some_over_the_whole_ranking_stay(tmp_path: Path) -> None:
    rewards: list[float | None] = np.random.default_rng(0).permutation(1300).tolist()
    curves = loss_curves(reported(write_run(tmp_path / "run", rewards, promoted_from=500)))
    # Of the 400 others that were not promoted two or three apart stay, of the 700 promoted ones three or four.
    for own, steps in ((range(500), {2, 3}), (range(500, 1300), {3, 4})):
        ranking = sorted(own, key=lambda number: -(rewards[number] or 0))
        ranks = [ranking.index(index) for index in curves.index if index in own]
        assert ranks[:100] == list(range(100))
        assert (len(ranks), ranks[-1]) == (300, len(own) - 1)
        assert set(np.diff(ranks[99:])) <= {1, *steps}
    assert curves.num_found == 1300


# --- the file


def test_the_file_is_whole_and_asks_for_nothing(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "num_trials=12", "task.failure_rate=0.2").returncode == 0
    done = call("nas.report", "run=run", "top=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run/report.html: ")
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page, record = Page(text), read_record(tmp_path / "run")
    assert page.addresses == ["data:,"]
    assert "MIT License" in text
    assert "Permission is hereby granted" in text
    assert len(text) < 20e6
    keys = json.loads(page.data)["trials"]["key"]
    assert keys == [trial.key for trial in record.trials.values()]
    shown = "".join(page.text)
    assert [trial.key in shown for trial in best_trials(record.trials)[:4]] == [True, True, True, False]
    # Each of the three cards has a small drawing, and a large one that it opens to.
    assert page.tags.count("svg") == 6
    assert "task.failure_rate" in shown
    assert str(tmp_path) not in text
    # The same record gives the same file.
    assert call("nas.report", "run=run", "top=3", "out=again.html").returncode == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_a_metric_of_somebodys_own_task_is_on_the_page(tmp_path: Path, call: Run) -> None:
    write_run(tmp_path / "run", [0.1, 0.2], more_metrics={"miou": 0.43, "ap/person": 0.5})
    assert call("nas.report", "run=run").returncode == 0
    page = Page((tmp_path / "run/report.html").read_text(encoding="utf-8"))
    assert "miou 0.4300" in "".join(page.text)
    figures = {figure["name"]: figure for figure in json.loads(page.data)["figures"]}
    assert figures["miou"] == {
        "name": "miou",
        "title": "miou",
        "style": "adaptive",
        "better": "neither",
        "is_column": True,
        "is_hovered": True,
    }
    assert (figures["macs"]["title"], figures["macs"]["better"]) == ("multiply-adds", "lower")
    assert (figures["ap/person"]["is_column"], figures["ap/person"]["better"]) == (False, "higher")
    assert list(figures)[-3:] == ["cost", "miou", "seconds"]


def test_text_on_record_stays_text(tmp_path: Path, call: Run) -> None:
    config = config_of({"_target_": f"x.{HOSTILE}"}, task={"_target_": HOSTILE, HOSTILE: HOSTILE})
    run = tmp_path / "run<b>&amp;"
    write_run(run, rewards_of(20), config, message=HOSTILE, versions={HOSTILE: HOSTILE}, name=HOSTILE)
    assert call("nas.report", f"run={run}", "out=page.html").returncode == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 3  # the data, plotly.js as data, and the script that runs
    assert "img" not in page.tags
    assert page.data
    assert not set("<>&\u2028") & set(page.data)
    assert HOSTILE.replace("\u2028", " ") in "".join(page.text)
    assert any(HOSTILE in name for name in json.loads(page.data)["trials"]["metrics"])


def test_the_page_shows_how_resolution_paths_split_the_rewards(tmp_path: Path, call: Run) -> None:
    rewards = rewards_of(40)
    run = write_run(tmp_path / "runs" / "a", rewards)
    trials = [trial for trial in read_record(run).trials.values() if trial.reward is not None]
    with_paths = [trial.reward or 0.0 for trial in trials if has_resolution_paths(trial.spec)]
    without = [trial.reward or 0.0 for trial in trials if not has_resolution_paths(trial.spec)]
    assert (len(with_paths) > 5, len(without) > 5) == (True, True)

    split = splits_of(trials)[0]
    assert (split.output, list(split.having), list(split.lacking)) == ("all", with_paths, without)
    found = {split.output: split for split in splits_of(trials)}
    # Random architectures always have a path to the coarsest output, whose level no block exceeds.
    assert "level 3" in found
    assert "level 7" not in found
    # Less training does not compare, and an architecture counts once.
    assert len(splits_of([*trials, *trials])[0].having) == len(with_paths)

    assert call("nas.report", "run=runs/a").returncode == 0
    page = (run / "report.html").read_text()
    (shown,) = re.findall(r"<section><h2>Resolution paths</h2>.*?</section>", page)
    texts = (str(len(with_paths)), *(f"{f(with_paths):.4f}" for f in (min, np.median, max)), str(len(without)))
    cells = "".join(f'<td class="number">{text}</td>' for text in texts)
    assert f"<tr><td>all</td>{cells}" in shown


def test_the_policy_names_the_scripts_that_may_run(tmp_path: Path, call: Run) -> None:
    write_run(tmp_path / "run", [0.1])
    assert call("nas.report", "run=run").returncode == 0
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (tmp_path / "run/report.html").read_text("utf-8"))
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert policy[1].count("sha256-") == 2
    assert "unsafe-inline" not in policy[1].split(";")[1]


def test_several_runs_are_compared_beside_their_folders(tmp_path: Path, call: Run) -> None:
    for seed in range(2):
        write_run(tmp_path / f"runs/evolution-{seed}", rewards_of(20, seed), config_of(seed=seed))
        write_run(tmp_path / f"runs/random-{seed}", rewards_of(20, seed + 5), config_of(RANDOM, seed=seed))
    names = ["runs/evolution-0", "runs/evolution-1", "runs/random-0", "runs/random-1"]
    done = call("nas.report", f"run=[{','.join(names)}]")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("runs/report.html: ")
    page = Page((tmp_path / "runs/report.html").read_text(encoding="utf-8"))
    data = json.loads(page.data)
    assert [(group["name"], group["curve"]["runs"]) for group in data["groups"]] == [
        ("evolution", [0, 1]),
        ("random", [2, 3]),
    ]
    assert len(data["trials"]["trial"]) == 80
    assert "evolution against random" in page.text


@pytest.mark.parametrize(
    ("num_trials", "promoted_from", "text"),
    [
        (300, None, ""),
        (301, None, "Here are 300 of 301: the best 100, and others evenly spaced over the ranking of the rest."),
        pytest.param(600, 300, "", marks=pytest.mark.long),
        pytest.param(
            600, 299, "Here are 599 of 600: the best 100 of each rung, and others evenly", marks=pytest.mark.long
        ),
    ],
)
def test_the_page_says_when_training_curves_are_left_out(
    tmp_path: Path, call: Run, num_trials: int, promoted_from: int | None, text: str
) -> None:
    write_run(tmp_path / "run", [i / num_trials for i in range(num_trials)], promoted_from=promoted_from)
    assert call("nas.report", "run=run").returncode == 0
    page = Page((tmp_path / "run/report.html").read_text(encoding="utf-8"))
    assert "Training curves" in page.text
    assert ("Here are" in "".join(page.text)) == bool(text)
    assert text in "".join(page.text)


def test_runs_without_loss_curves_have_no_section_for_them(tmp_path: Path, call: Run) -> None:
    write_run(tmp_path / "old", [0.1, 0.2], num_parts=0)
    write_run(tmp_path / "failed", [None])
    assert call("nas.report", "run=[old,failed]", "out=page.html").returncode == 0
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Training loss" in page.text
    assert "Training curves" not in page.text
    assert "training" not in page.ids


# --- what cannot be shown


def test_what_cannot_be_reported_is_one_line(call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "run", [0.1])
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "begun", [])
    old = write_run(tmp_path / "old", [0.1]) / FILE_NAME
    old.write_text(old.read_text("utf-8").replace('"schema_version":1', '"schema_version":0'), encoding="utf-8")
    damaged = write_run(tmp_path / "damaged", [0.1, 0.2]) / FILE_NAME
    damaged.write_text(damaged.read_text("utf-8").replace('"trial":1', '"trial":7'), encoding="utf-8")
    (tmp_path / "file").write_text("")
    for arguments, text in (
        (("run=empty",), "no run at "),
        (("run=missing",), "no run at "),
        (("run=begun",), "begun: no trials yet, so there is nothing to report"),
        (("run=old",), "journal.jsonl, line 1: "),
        (("run=damaged",), "line 4: trial 1 should be asked next, not 7"),
        (("run=[run,empty]",), "no run at "),
        (("run=[run,./run]",), "is given twice"),
        (("run=[]",), "run: name one folder or more"),
        (("run=run", "top=0"), "top must be from 1 to 1e+07 (no run has more trials), got 0"),
        (("run=run", "out=file/report.html"), "cannot write "),
        ((), "run: needs a value"),
    ):
        done = call("nas.report", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), arguments
        assert text in done.stderr, arguments


def test_a_link_out_of_the_run_folder_is_not_followed(call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "run", [0.1])
    (tmp_path / "precious").write_text("mine")
    for name in ("report.html", "report.html.part"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "precious")
    assert call("nas.report", "run=run").returncode == 0
    assert not (tmp_path / "run" / "report.html").is_symlink()
    assert (tmp_path / "precious").read_text() == "mine"
