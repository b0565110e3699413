"""Baselines in words."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from nas.assessment.told_apart import SeedDeviation
from nas.record.baselines import Baseline
from nas.record.journal import read_record
from nas.record.mean_reward import MeanReward, mean_reward
from nas.record.trial import Failure
from nas.terminal.baselines import interval_line, replay_lines, standing_line
from nas.terminal.console import Verbosity
from nas.terminal.search_view import SearchView
from tests.nas.reporting.reported_runs import write_run


def baseline(name: str, reward: float | None) -> Baseline:
    if reward is None:
        return Baseline(name=name, status="failed", failure=Failure("nan", "the loss is nan"))
    return Baseline(name=name, status="completed", reward=reward)


@pytest.mark.parametrize(
    ("baselines", "words"),
    [
        ([baseline("a", 0.5), baseline("b", 0.75)], "0.1000 above a (0.5000) and 0.1500 below b (0.7500)"),
        ([baseline("a", 0.6)], "equal to a (0.6000)"),
        (
            [baseline("a", None)],
            "without a comparison to a, which failed (nan; the next start with baselines=true tries it again)",
        ),
        ([Baseline(name="a")], "without a comparison to a, which is not trained yet"),
    ],
)
def test_the_best_of_the_first_rung_is_compared_with_each_baseline(
    tmp_path: Path, baselines: list[Baseline], words: str
) -> None:
    # A promoted trial had more training than any baseline.
    run = write_run(tmp_path / "run", [0.2, 0.6, None, 0.9], promoted_from=3)
    line = standing_line(read_record(run), baselines, "COMMAND")
    assert line == (
        f"Baselines: the best of the first rung, reward 0.6000, is {words}. Each is one training, and the best of 2 is "
        "partly the luckiest; an interval takes several seeds: COMMAND"
    )


def test_nothing_is_said_of_a_run_without_baselines_or_without_a_reward(tmp_path: Path) -> None:
    assert standing_line(read_record(write_run(tmp_path / "a", [0.2])), [], "COMMAND") == ""
    assert standing_line(read_record(write_run(tmp_path / "b", [None])), [baseline("a", 0.5)], "COMMAND") == ""


def test_a_replay_with_several_seeds_has_the_mean_of_each_baseline() -> None:
    seeds = [[baseline("a", 0.5), baseline("b", None)], [baseline("a", 0.6), baseline("b", 0.2)], [baseline("a", 0.7)]]
    # By hand: the deviation of 0.5, 0.6 and 0.7 is 0.1.
    assert replay_lines([baseline("a", 0.55)], seeds) == [
        "baseline a: reward in search 0.5500, mean now 0.6000 ± 0.1000, n 3",
        "baseline b: reward now 0.2000",
    ]


def test_the_best_is_said_to_be_above_or_below_a_baseline_with_an_interval_alone() -> None:
    # By hand: two means of 2 with a deviation of 0.01 and 2 degrees differ by 4.303 * 0.01 = 0.043 or more.
    deviation, best = SeedDeviation(0.01, 2), mean_reward([0.69, 0.71])
    means = {"a": mean_reward([0.6, 0.6]), "b": mean_reward([0.68, 0.69]), "c": mean_reward([0.8, 0.8])}
    above = "above a (0.6000): +0.1000, 95 % interval +0.0570 to +0.1430"
    near = "not told apart from b (0.6850): +0.0150, 95 % interval -0.0280 to +0.0580"
    below = "below c (0.8000): -0.1000, 95 % interval -0.1430 to -0.0570"
    picked = "The best was picked by its mean, which the intervals leave out."
    assert interval_line(deviation, best, means, 3, "COMMAND") == (
        f"Baselines: the best of 3 means, 0.7000, is {above}; {near}; {below}. {picked}"
    )
    # Without several seeds of both there is no interval, and no claim.
    some = {"a": means["a"], "d": MeanReward(0.2), "e": None}
    lacking = "no interval to d, which lacks several seeds; no interval to e, which lacks several seeds"
    assert interval_line(deviation, best, some, 1, "COMMAND") == f"Baselines: the best, 0.7000, is {above}; {lacking}."
    none = "Baselines: no interval to a; it takes several seeds of the best and of each: COMMAND"
    for known, mean in ((None, best), (deviation, None), (deviation, MeanReward(0.7))):
        assert interval_line(known, mean, {"a": means["a"]}, 3, "COMMAND") == none
    assert interval_line(deviation, best, {}, 3, "COMMAND") == ""


@pytest.mark.parametrize("verbosity", ["quiet", "normal", "verbose"])
def test_baselines_have_lines_like_trials_and_count_as_work(tmp_path: Path, verbosity: Verbosity) -> None:
    file = io.StringIO()
    record = read_record(write_run(tmp_path / "run", [0.2]))
    view = SearchView(Console(file=file, width=160), "a run", 3, record, verbosity)
    view.show_baseline(Baseline(name="a"), True)
    view.show_baseline(Baseline(name="b"), True)
    panel = io.StringIO()
    Console(file=panel, width=110).print(view._panel())
    assert "1 trained, baseline a running, baseline b running" in panel.getvalue()

    lost = Failure("worker_lost", "its process died")
    view.show_baseline(Baseline(name="a", attempts=(lost,)), False)
    view.show_baseline(baseline("b", 0.25).model_copy(update={"seconds": {"train": 3.0}, "remarks": ("dull",)}), False)
    lines = ["baseline a is left open (worker_lost): its process died", "baseline b: dull"]
    if verbosity != "quiet":
        lines.insert(1, "baseline b  reward 0.2500  3 s")
    if verbosity == "verbose":
        lines = ["baseline a starts", "baseline b starts", *lines]
    assert file.getvalue().splitlines() == lines
