"""The page of a study of proxies: what it shows, and that nothing on record can run in it."""

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from nas.assessment.assessment import Assessment, assess
from nas.assessment.interval import Estimate
from nas.assessment.trained import ProxyRuns
from nas.record.events import Asked, Created, Told
from nas.record.record import Record
from nas.reporting.proxy_page import proxy_page
from nas.reporting.static_plot import Series, plot_svg
from tests.nas.reporting.reported_runs import HOSTILE, SPACE


def record_of(rewards: list[float], seconds: float) -> Record:
    rng = np.random.default_rng(0)
    record = Record(Created(config={}, versions={}))
    for number, reward in enumerate(rewards):
        chosen = SPACE.sample(rng)
        spec = SPACE.decode(chosen).spec
        record.add(Asked(trial=number, decisions=chosen, key=spec.key, spec=spec))
        times = {"train": seconds} if seconds else {}
        record.add(
            Told(trial=number, status="completed", reward=reward, seconds=times, loss_curve=(1, 1 - reward, -reward))
        )
    return record


def assessment_of(name: str, seconds: float = 3.0) -> Assessment:
    rng = np.random.default_rng(0)
    truth = rng.random(9)

    def runs(name: str, noise: float, seconds: float) -> ProxyRuns:
        rewards = [(truth + noise * rng.normal(size=9)).tolist() for _ in range(2)]
        return ProxyRuns(name, {seed: record_of(own, seconds) for seed, own in enumerate(rewards)})

    candidates = [runs(name, 0.1, seconds), runs("long", 0.02, 2 * seconds)]
    return assess(candidates, runs("target", 0.01, 9 * seconds), top=3)


class Parts(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_verdicts_figures_and_plots_and_runs_nothing_on_record() -> None:
    assessment = assessment_of(HOSTILE)
    page = proxy_page(assessment, HOSTILE)
    parts = Parts(page)
    assert not {"script", "img", "iframe", "object"} & {*parts.tags}
    assert "default-src 'none'" in page
    assert parts.text.count(HOSTILE) >= 4
    for proxy in assessment.proxies:
        assert proxy.verdict in parts.text

    # Costs, the ranking and the differences along the training; the target does not compare with itself.
    costs, ranking, differences = re.findall(r'<svg class="static".*?</svg>', page)
    assert costs.count('r="5.5"') == 2
    assert ranking.count("<polyline") == differences.count("<polyline") == 3
    assert "Spearman per second" in parts.text
    assert "ranks best: long" in parts.text


def test_without_times_the_page_says_so_and_has_no_plot_of_costs() -> None:
    page = proxy_page(assessment_of("short", seconds=0), "study")
    assert "Durations are not on record" in page
    assert page.count('<svg class="static"') == 2


@pytest.mark.parametrize("is_curve", [False, True])
def test_points_without_a_value_are_left_out_and_those_without_an_interval_have_no_whiskers(is_curve: bool) -> None:
    nan = math.nan
    known = (Estimate(1, nan, nan), Estimate(2, nan, nan))
    assert plot_svg([Series("a", ((Estimate(nan, nan, nan), known[1]),), is_curve)], "x", "y", "z") == ""
    drawn = plot_svg([Series("a", (known, (known[0], Estimate(3, 2, 4))), is_curve)], "x", "y", "z")
    assert "nan" not in drawn
    assert drawn.count('stroke-width="1.6"') == (0 if is_curve else 1)
