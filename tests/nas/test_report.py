"""The report of runs: its values, what stands in the file, and what a real browser makes of it."""

import json
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.journal import FILE_NAME, Asked, AttemptFailed, Created, Event, Told, read_record
from nas.reporting.curves import best_so_far, mean_curves
from nas.reporting.failures import failure_rows
from nas.reporting.loss_curves import loss_curves
from nas.reporting.occurrence import learned_by_group, level_offsets
from nas.reporting.runs import ReportedRun, cautions, read_runs
from nas.reporting.trials import trial_columns
from nas.trial import Failure, best_trials
from search_space import ScalePermutedSpace, resnet_seed
from search_space.spec import short_form
from tests.conftest import TINY_LANDSCAPE, Run
from tests.nas.chromium import Chromium, find_chromium

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
SPACE_CONFIG = {
    "_target_": "search_space.ScalePermutedSpace",
    "base": {"_target_": "search_space.resnet_seed", "name": "r0-sp53"},
    "permutation": True,
    "connections": True,
    "level_offsets": [-1, 0, 1, 2],
    "kinds": ["bottleneck", "residual"],
    "window": 5,
}
EVOLUTION = {"_target_": "controllers.RegularizedEvolution", "space": SPACE_CONFIG, "population_size": 50}
RANDOM = {"_target_": "controllers.RandomSearch", "space": SPACE_CONFIG}
HOSTILE = (
    "</script><script>window.hacked=1</script><!-- <img src=x onerror='window.hacked=2'> \u2028 ]]> ${title} $title"
)


def config_of(controller: dict[str, Any] = EVOLUTION, **more: object) -> dict[str, Any]:
    return {"space": SPACE_CONFIG, "controller": controller, "seed": 0, "num_trials": 10, **more}


def write_run(
    folder: Path,
    rewards: list[float | None],
    config: dict[str, Any] | None = None,
    message: str = "the loss is nan",
    versions: dict[str, str] | None = None,
    name: str = "cost",
    num_parts: int = 20,
    promoted_from: int | None = None,
) -> Path:
    """Write a journal with a trial for each reward; None is a failure.

    Each has a loss curve of `num_parts` points, and those from the number `promoted_from` on were promoted.
    """
    rng = np.random.default_rng(0)
    events: list[Created | Event] = [Created(config=config or config_of(), versions=versions or {"python": "3"})]
    for number, reward in enumerate(rewards):
        decisions = SPACE.sample(rng)
        spec = SPACE.decode(decisions)
        rung = int(promoted_from is not None and number >= promoted_from)
        events.append(Asked(trial=number, decisions=decisions, key=spec.key, spec=spec, rung=rung))
        metrics = {
            "ap": reward or 0.0,
            "macs": 1e6 * rng.uniform(50, 90),
            "params": 3e5,
            name: 1.0,
            "loss": rng.random(),
        }
        curve = tuple(0.3 + (2.7 - (reward or 0.0)) / (1 + part) for part in range(num_parts))
        told = Told(trial=number, status="completed", reward=reward, metrics=metrics, seconds={"train": 30.0})
        if reward is None:
            told = Told(trial=number, status="failed", failure=Failure("nan", message))
        events.append(told.model_copy(update={"loss_curve": curve}))
    folder.mkdir(parents=True)
    lines = "".join(event.model_dump_json(exclude_none=True) + "\n" for event in events)
    (folder / FILE_NAME).write_text(lines, encoding="utf-8")
    return folder


def rewards_of(num: int, seed: int = 0) -> list[float | None]:
    drawn = np.random.default_rng(seed).random(num)
    return [None if i % 9 == 4 else float(value) for i, value in enumerate(drawn)]


class Page(HTMLParser):
    """What a page holds, checked while it is read: every element is closed in order, no id stands twice."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
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


def reported(*folders: Path) -> list[ReportedRun]:
    return read_runs(folders)


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


def test_level_offsets_are_those_that_were_chosen(tmp_path: Path) -> None:
    record = read_record(write_run(tmp_path / "run", [0.1] * 20))
    offsets_of = level_offsets(record.created.config)
    assert offsets_of is not None
    for trial in record.trials.values():
        levels = sum(block.level for block in trial.spec.blocks if not block.is_output)
        # Ten intermediate blocks of ResNet-50: levels 2, 3, 3, 3, 4, 4, 4, 4, 4, 5.
        assert levels - sum(offsets_of(trial)) == 36


@pytest.mark.parametrize(
    "change",
    [
        {"_target_": "os.system"},
        {"base": {"_target_": "os.system", "name": "x"}},
        {"level_offsets": []},
        {"window": "x"},
    ],
)
def test_a_space_without_known_base_has_no_offsets(change: dict[str, Any]) -> None:
    assert level_offsets({"space": {**SPACE_CONFIG, **change}}) is None


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
    assert [columns.reward[row] for row in curves.row] == [0.7, 0.5, 0.2, 0.1]
    assert [(columns.run[row], columns.trial[row]) for row in curves.row] == [(0, 2), (1, 0), (0, 0), (1, 1)]
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
        places = [ranking.index(row) for row in curves.row if row in own]
        assert places[:100] == list(range(100))
        assert (len(places), places[-1]) == (300, len(own) - 1)
        assert set(np.diff(places[99:])) <= {1, *steps}
    assert curves.num_found == 1300


# --- the file


def test_the_file_is_whole_and_asks_for_nothing(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "num_trials=12", "task.failure_rate=0.2").returncode == 0
    done = call("nas.report", "run=run", "top=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run/report.html (")
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page, record = Page(text), read_record(tmp_path / "run")
    assert page.addresses == ["data:,"]
    assert "Licensed under the MIT license" in text
    assert "Permission is hereby granted" in text
    assert len(text) < 20e6
    keys = json.loads(page.data)["trials"]["key"]
    assert keys == [trial.key for trial in record.trials.values()]
    shown = "".join(page.text)
    assert [trial.key in shown for trial in best_trials(record.trials)[:4]] == [True, True, True, False]
    assert page.tags.count("svg") == 3
    assert "task.failure_rate" in shown
    assert str(tmp_path) not in text
    # The same record gives the same file.
    assert call("nas.report", "run=run", "top=3", "out=again.html").returncode == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_text_on_record_stays_text(tmp_path: Path, call: Run) -> None:
    config = config_of({"_target_": f"x.{HOSTILE}"}, task={"_target_": HOSTILE, HOSTILE: HOSTILE})
    run = tmp_path / "run<b>&amp;"
    write_run(run, rewards_of(20), config, message=HOSTILE, versions={HOSTILE: HOSTILE}, name=HOSTILE)
    assert call("nas.report", f"run={run}", "out=page.html").returncode == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert page.data
    assert not set("<>&\u2028") & set(page.data)
    assert HOSTILE.replace("\u2028", " ") in "".join(page.text)
    assert any(HOSTILE in name for name in json.loads(page.data)["trials"]["metrics"])


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
    assert done.stdout.startswith("runs/report.html (")
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
        (600, 300, ""),
        (600, 299, "Here are 599 of 600: the best 100 of each rung, and others evenly"),
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
        (("run=run", "top=0"), "top must be 1 or more, got 0"),
        (("run=run", "out=file/report.html"), "cannot write "),
        ((), "run: needs a value"),
    ):
        done = call("nas.report", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), arguments
        assert text in done.stderr, arguments


def test_a_link_out_of_the_run_folder_is_not_followed(call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "run", [0.1])
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run/report.html.part").symlink_to(tmp_path / "precious")
    assert "leads out of the run folder" in call("nas.report", "run=run").stderr
    assert (tmp_path / "precious").read_text() == "mine"


# --- a real browser


@pytest.fixture
def browser() -> Iterator[Chromium]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found: install one, or name it in the environment variable CHROMIUM")
    with Chromium(path) as chromium:
        yield chromium


MARKS = """(id) => {
    const plot = document.getElementById(id);
    const drawn = plot.querySelectorAll(".point path, path.point, .lines path, .hm image, .js-line").length;
    const canvas = plot.querySelector(".gl-canvas");
    if (!canvas) return drawn;
    const gl = canvas.getContext("webgl"), pixels = new Uint8Array(4 * canvas.width * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels.filter((value) => value).length;
}"""


def check_page(browser: Chromium, path: Path) -> None:
    """Check what holds for every page: nothing fails, nothing is asked for, every plot shows something."""
    browser.open(path)
    assert browser.errors == []
    assert [url for url in browser.requested if not url.startswith(("file:", "data:", "blob:"))] == []
    assert browser.value("window.hacked") is None
    plots = browser.value("[...document.querySelectorAll('.plot')].map((plot) => plot.id)")
    assert plots
    assert {id: browser.value(f"({MARKS})({json.dumps(id)})") > 0 for id in plots} == dict.fromkeys(plots, True)


def column(browser: Chromium, name: str) -> list[str]:
    at = browser.value(f"[...document.querySelectorAll('#heads th')].findIndex((h) => h.dataset.name === '{name}')")
    found: list[str] = browser.value(
        f"[...document.querySelectorAll('#rows tr')].map((r) => r.cells[{at}].textContent)"
    )
    return found


def filter_by(browser: Chromium, text: str) -> str:
    script = "(t) => { const f = document.getElementById('filter'); f.value = t; f.dispatchEvent(new Event('input')) }"
    browser.value(f"({script})({json.dumps(text)})")
    count: str = browser.value("document.getElementById('count').textContent")
    return count


def check_hover(browser: Chromium, id: str, trace: int, point: int, texts: Sequence[str]) -> None:
    """Check that all these texts are shown while the mouse is over a point of a plot."""
    browser.value(f"document.getElementById('{id}').scrollIntoView({{ behavior: 'instant' }})")
    x, y = browser.value(f"""(() => {{
        const plot = document.getElementById("{id}"), box = plot.getBoundingClientRect();
        const {{ xaxis, yaxis }} = plot._fullLayout, {{ x, y }} = plot.data[{trace}];
        return [box.x + xaxis._offset + xaxis.d2p(x[{point}]), box.y + yaxis._offset + yaxis.d2p(y[{point}])];
    }})()""")
    browser.move(x - 30, y + 30)
    browser.move(x, y)
    # What was under the mouse on its way may be shown for a moment.
    shown = f"document.querySelector('#{id} .hoverlayer').textContent"
    browser.wait_for(f"{json.dumps(texts)}.every((text) => {shown}.includes(text))")


@pytest.mark.slow
@pytest.mark.parametrize("num_trials", [12, pytest.param(10_000, marks=pytest.mark.long)])
def test_the_page_works_in_a_browser(browser: Chromium, call: Run, tmp_path: Path, num_trials: int) -> None:
    rewards = rewards_of(num_trials)
    write_run(tmp_path / "run", rewards)
    assert call("nas.report", "run=run").returncode == 0
    check_page(browser, tmp_path / "run/report.html")

    # The table begins with the best; a click turns the order round, and what has no reward stays last.
    known = [reward for reward in rewards if reward is not None]
    assert float(column(browser, "reward")[0]) == pytest.approx(max(known), abs=1e-4)
    browser.value("document.querySelector('[data-name=reward] button').click()")
    assert float(column(browser, "reward")[0]) == pytest.approx(min(known), abs=1e-4)
    browser.value("document.querySelector('[data-name=trial] button').click()")
    assert column(browser, "trial")[:3] == ["0", "1", "2"]

    num_good = sum(reward > 0.5 for reward in known)
    assert filter_by(browser, "reward>0.5").split(" of ")[1].startswith(f"{num_good} (")
    assert all(float(text) > 0.5 for text in column(browser, "reward"))
    num_failed = rewards.count(None)
    assert f" of {num_failed} (" in filter_by(browser, "status:failed")
    assert set(column(browser, "failure")) == {"nan: the loss is nan"}
    key = trial_columns(reported(tmp_path / "run")).key[3]
    assert filter_by(browser, key).startswith("1 to 1 of 1 ")
    assert filter_by(browser, "no such text") == f"none of {num_trials}"

    # The mouse over a trial shows its spec: the first one with a reward, wherever it was drawn.
    check_hover(browser, "progress", 0, 0, [trial_columns(reported(tmp_path / "run")).spec[0]])

    assert browser.value("document.querySelectorAll('#training .js-line').length") == min(300, len(known))
    assert (tmp_path / "run/report.html").stat().st_size < 20e6


@pytest.mark.slow
def test_training_curves_show_whose_they_are(browser: Chromium, call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "a", [0.1, 0.9, None, 0.6, 0.3, 0.2], promoted_from=4)
    write_run(tmp_path / "b", [0.5], num_parts=1)
    assert call("nas.report", "run=[a,b]", "out=page.html").returncode == 0
    check_page(browser, tmp_path / "page.html")
    columns = trial_columns(reported(tmp_path / "a", tmp_path / "b"))
    lines = "document.getElementById('training').data.filter((trace) => trace.mode === 'lines')"
    change = "(s) => { s.value = 0; s.dispatchEvent(new Event('change')) }"

    def drawn() -> list[int]:
        rows: list[int] = browser.value(f"{lines}.map((trace) => trace.customdata[0])")
        return rows

    # Best last, so that it lies on top; those that were promoted are not drawn with the others.
    assert [columns.reward[row] for row in drawn()] == [0.2, 0.3]
    browser.value(f"({change})(document.getElementById('training-rung'))")
    assert [columns.reward[row] for row in drawn()] == [0.1, 0.5, 0.6, 0.9]
    assert browser.value("document.getElementById('training').data.at(-1).customdata") == drawn()
    colours = browser.value(f"{lines}.map((trace) => trace.line.color)")
    assert len(set(colours)) == 4
    assert browser.value("document.getElementById('training').layout.yaxis.type") == "log"
    for at, row in enumerate(drawn()):
        reward = columns.reward[row] or 0.0
        whose = f"trial {columns.trial[row]}, {'ab'[columns.run[row]]}: completed"
        texts = [whose, f"reward {reward:.4f}", columns.spec[row], f"loss {3 - reward:.4g} at "]
        check_hover(browser, "training", at, 0, texts)


@pytest.mark.long
def test_axes_can_be_chosen_and_the_front_is_that_of_the_axes(browser: Chromium, call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "run", rewards_of(60))
    assert call("nas.report", "run=run").returncode == 0
    browser.open(tmp_path / "run/report.html")
    trials = [t for t in read_record(tmp_path / "run").trials.values() if t.reward is not None]
    for axis, sign in (("macs", -1), ("loss", -1), ("reward", 1)):
        change = "(s, v) => { s.value = v; s.dispatchEvent(new Event('change')) }"
        browser.value(f"({change})(document.getElementById('axis-x'), '{axis}')")
        browser.value(f"({change})(document.getElementById('axis-y'), 'params')" if axis == "reward" else "0")
        points = {
            t.number: (
                sign * (t.metrics[axis] if axis != "reward" else t.reward or 0.0),
                -3e5 if axis == "reward" else t.metrics["ap"],
            )
            for t in trials
        }
        expected = {
            n
            for n, (a, b) in points.items()
            if not any(x >= a and y >= b and (x, y) != (a, b) for x, y in points.values())
        }
        assert set(browser.value("document.getElementById('trade-off').data.at(-1).customdata")) == expected


@pytest.mark.long
def test_hostile_text_does_not_run_in_a_browser(browser: Chromium, call: Run, tmp_path: Path) -> None:
    for seed in range(2):
        config = config_of({"_target_": f"x.{HOSTILE}", "n": seed}, task={"_target_": HOSTILE, HOSTILE: HOSTILE})
        write_run(tmp_path / f"runs/a<b>{seed}", rewards_of(20), config, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE)
    runs = ",".join(f"'runs/a<b>{seed}'" for seed in range(2))
    for arguments in (f"run=[{runs}]", "run=runs/a<b>0"):
        done = call("nas.report", arguments, "out=page.html")
        assert done.returncode == 0, done.stderr
        check_page(browser, tmp_path / "page.html")


@pytest.mark.long
def test_runs_that_have_little_to_show_open_without_errors(browser: Chromium, call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "failed", [None, None])
    write_run(tmp_path / "one", [0.3])
    torn = write_run(tmp_path / "torn", rewards_of(12)) / FILE_NAME
    torn.write_bytes(torn.read_bytes()[:-20])
    for name in ("failed", "one", "torn"):
        assert call("nas.report", f"run={name}").returncode == 0
        browser.open(tmp_path / name / "report.html")
        assert browser.errors == []
    assert call("nas.report", "run=[one,failed,torn]", "out=all.html").returncode == 0
    browser.open(tmp_path / "all.html")
    assert browser.errors == []


def drawing_is_on(browser: Chromium, folder: Path) -> str:
    """Return which ground the first drawing in the page stands on, `light` or `dark`, if it can be seen on it."""
    box = "document.querySelector('.card svg').getBoundingClientRect()"
    clip = browser.value(f"(({{ x, y, width, height }}) => ({{ x, y: y + scrollY, width, height, scale: 1 }}))({box})")
    browser.picture(folder / "drawing.png", captureBeyondViewport=True, clip=clip)
    with Image.open(folder / "drawing.png") as image:
        darkest, ground, lightest = np.percentile(np.asarray(image.convert("L")), (0, 50, 100))
    assert lightest - darkest > 150
    return "light" if ground > 200 else "dark" if ground < 60 else f"grey {ground}"


@pytest.mark.long
def test_the_page_follows_the_colour_scheme_and_prints_light(browser: Chromium, call: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "run", rewards_of(20))
    assert call("nas.report", "run=run").returncode == 0
    browser.open(tmp_path / "run/report.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    plot = "document.getElementById('progress').layout.font.color"
    light = (browser.value(colour), browser.value(plot))
    assert drawing_is_on(browser, tmp_path) == "light"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait_for(f"{plot} !== '{light[1]}'")
    assert browser.value(colour) != light[0]
    assert drawing_is_on(browser, tmp_path) == "dark"
    browser.value("dispatchEvent(new Event('beforeprint'))")
    assert (browser.value(colour), browser.value(plot)) == light
    assert drawing_is_on(browser, tmp_path) == "light"
    browser.value("dispatchEvent(new Event('afterprint'))")
    assert browser.value(plot) != light[1]
