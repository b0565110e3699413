"""The report in a real browser: plots have marks, tables sort, nothing is loaded, nothing fails."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.drawing.picture import LEVEL_COLOURS
from nas.record.journal import FILE_NAME, read_record
from nas.record.trial import best_trials
from nas.reporting.trials import trial_columns
from search_space import Decision, read_spec
from tests.conftest import Run
from tests.nas.reporting.chromium import Chromium, find_chromium
from tests.nas.reporting.reported_runs import HOSTILE, SPACE, config_of, reported, rewards_of, write_run


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
    # plotly.js alone has 4.8 MB.
    assert (tmp_path / "run/report.html").stat().st_size < (3e6 if num_trials < 100 else 17e6)


@pytest.mark.slow
def test_cards_open_to_a_drawing_a_spec_to_copy_and_the_difference_to_another(
    browser: Chromium, call: Run, tmp_path: Path
) -> None:
    write_run(tmp_path / "run", [0.1, 0.2, 0.3])
    assert call("nas.report", "run=run").returncode == 0
    browser.open(tmp_path / "run/report.html")
    best, second, third = best_trials(read_record(tmp_path / "run").trials)
    browser.value("document.querySelectorAll('.card button')[0].click()")

    def text(id: str) -> str:
        found: str = browser.value(f"document.getElementById('card-{id}').textContent")
        return found

    # A drawing with numbers in its blocks, unlike the small one.
    assert browser.value("document.querySelectorAll('#card-drawing text').length") > len(best.spec.blocks)
    (tmp_path / "spec.json").write_text(text("spec"), encoding="utf-8")
    assert read_spec(tmp_path / "spec.json").spec == best.spec
    browser.value("document.getElementById('card-copy').click()")
    browser.wait_for("document.getElementById('card-copied').textContent")

    # Against the second at first, and against the one that is chosen.
    change = "(s) => { s.value = 2; s.dispatchEvent(new Event('change')) }"
    for other in (second, third):
        pairs = zip(best.spec.blocks, other.spec.blocks, strict=True)
        different = [str(i + 2) for i, (mine, theirs) in enumerate(pairs) if mine != theirs]
        shown = "[...document.querySelectorAll('#card-difference tbody tr')].map((row) => row.cells[0].textContent)"
        assert browser.value(shown) == different
        assert text("count") == f"{len(different)} of 17 blocks differ"
        browser.value(f"({change})(document.getElementById('card-other'))")

    browser.value("document.getElementById('card-close').click()")
    assert browser.value("document.getElementById('card').open") is False
    assert browser.errors == []


@pytest.mark.long
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
def test_a_task_and_a_space_of_somebodys_own_are_shown(browser: Chromium, call: Run, tmp_path: Path) -> None:
    widths = tuple(Decision(f"stage{number}.width", ("small", "large")) for number in range(len(SPACE.decisions)))
    more_metrics = {"miou": 0.43, "energy_j": 3.2e-5}
    write_run(tmp_path / "run", rewards_of(60), decisions=widths, more_metrics=more_metrics)
    assert call("nas.report", "run=run").returncode == 0
    check_page(browser, tmp_path / "run/report.html")
    # The best of 60 are shown; those that failed have neither figure.
    assert set(column(browser, "miou")) == {"0.4300"}
    assert set(column(browser, "energy_j")) == {"0.0000320"}
    filter_by(browser, "status:failed")
    assert set(column(browser, "miou")) == {""}
    headings = "[...document.querySelectorAll('#learned h3')].map((heading) => heading.textContent)"
    assert browser.value(headings)[:2] == ["Level of an intermediate block", "Width"]
    assert browser.value("document.getElementById('learned-1').data[0].x") == ["small", "large"]
    axes = "[...document.getElementById('axis-x').options].map((option) => option.value)"
    assert {"miou", "energy_j"} <= set(browser.value(axes))


@pytest.mark.long
def test_hostile_text_does_not_run_in_a_browser(browser: Chromium, call: Run, tmp_path: Path) -> None:
    for seed in range(2):
        config = config_of({"_target_": f"x.{HOSTILE}", "n": seed}, task={"_target_": HOSTILE, HOSTILE: HOSTILE})
        write_run(tmp_path / f"runs/a<b>{seed}", rewards_of(60), config, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE)
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


def levels_that_can_be_seen(browser: Chromium, folder: Path) -> set[int]:
    """Return the levels whose blocks can be told from the ground of the first card, by fill or by edge."""
    blocks = "[...document.querySelectorAll('.card svg path')].map((path) => [path.getAttribute('fill'), path])"
    seen = set()
    for level, colour in LEVEL_COLOURS.items():
        box = browser.value(
            f"(({{ x, y, width, height }}) => ({{ x: x - 3, y: y - 3 + scrollY, width: width + 6, height: height + 6,"
            f" scale: 4 }}))({blocks}.find(([fill]) => fill === '{colour}')[1].getBoundingClientRect())"
        )
        browser.picture(folder / "block.png", captureBeyondViewport=True, clip=box)
        with Image.open(folder / "block.png") as image:
            grey = np.asarray(image.convert("L"), dtype=float)
        # The corner is ground; WCAG asks 3:1 of shapes, which is about 90 of 255 on a light ground.
        if np.abs(grey - grey[0, 0]).max() > 90:
            seen.add(level)
    return seen


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
    write_run(tmp_path / "run", rewards_of(60))
    assert call("nas.report", "run=run").returncode == 0
    browser.open(tmp_path / "run/report.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    plot = "document.getElementById('progress').layout.font.color"
    light = (browser.value(colour), browser.value(plot))
    assert drawing_is_on(browser, tmp_path) == "light"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait_for(f"{plot} !== '{light[1]}'")
    assert browser.value(colour) != light[0]
    # Drawings stay light: their colours mean levels, and the lightest levels would vanish in the dark.
    assert drawing_is_on(browser, tmp_path) == "light"
    assert levels_that_can_be_seen(browser, tmp_path) == set(LEVEL_COLOURS)
    browser.value("dispatchEvent(new Event('beforeprint'))")
    assert (browser.value(colour), browser.value(plot)) == light
    assert drawing_is_on(browser, tmp_path) == "light"
    browser.value("dispatchEvent(new Event('afterprint'))")
    assert browser.value(plot) != light[1]
