import io
import re

import pytest
from rich.console import Console

from controllers import Proposal
from nas.record.ranking import Row
from nas.record.trial import Trial
from nas.terminal.figures import NumberStyle, count, duration, figure_of, number_text, shown_figures
from nas.terminal.tables import columns_of, describe, leaderboard_table
from search_space import published_spec

SPEC = published_spec("spinenet-49")


def trial(number: int, **changes: object) -> Trial:
    return Trial(number, Proposal(()), SPEC, SPEC.key, **changes)  # type: ignore[arg-type]  # names of its own fields


def test_the_table_ranks_and_leaves_out_what_is_not_there() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, markup=False)
    console.print(leaderboard_table([Row(trial(4, reward=0.5, metrics={"ap": 0.5, "macs": 2e9}))], "Best of [x]", 160))
    console.print(leaderboard_table([Row(trial(5, reward=0.5, metrics={"score": 1.0}))], "Best", 160))
    text = out.getvalue()
    assert "Best of [x]" in text
    assert "0.5000  0.5000  2B" in re.sub(" +", "  ", text)
    assert text.count("AP") == 1
    assert "latency" not in text
    timed = [trial(6, reward=0.5, metrics={"ap": 0.5, "latency_ms": 12.34}), trial(7, reward=0.4, metrics={"ap": 0.4})]
    console.print(leaderboard_table([Row(one) for one in timed], "Best", 160))
    assert "latency ms" in out.getvalue()
    assert "12.3" in out.getvalue()


METRICS = {"ap": 0.5, "ap50": 0.6, "ap75": 0.55, "macs": 2.25e9, "params": 1.25e6, "latency_ms": 12.34}


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(160, ()), (100, ()), (80, ("seconds", "levels")), (60, ("params", "latency ms", "seconds", "levels"))],
)
def test_a_narrow_table_leaves_out_whole_columns_and_names_them(width: int, left_out: tuple[str, ...]) -> None:
    rows = [Row(trial(n, reward=0.5, metrics=METRICS, seconds={"train": 30.0})) for n in range(9)]
    out = io.StringIO()
    Console(file=out, width=width, markup=False).print(leaderboard_table(rows, "Best", width))
    title, heads, *lines = out.getvalue().splitlines()
    assert max(len(line) for line in (title, heads, *lines)) <= width

    text = " ".join(" ".join(lines[9:]).split())
    assert text.startswith("Left out for want of space: " if left_out else "")
    for name in ("reward", "AP", "AP50", "AP75", "MACs", "params", "latency ms", "seconds", "levels"):
        assert (name in heads) == (name not in left_out)
        assert (name in text) == (name in left_out)
    for line in lines[:9]:
        assert line.split()[2:6] == ["0.5000", "0.5000", "0.6000", "0.5500"]
        assert SPEC.key[:6] in line


def test_a_metric_of_somebodys_own_task_is_a_column_between_the_costs_and_the_seconds() -> None:
    metrics = {"miou": 0.4321, "energy_j": 12000.0, "macs": 2e9, "ap/person": 0.5, "loss": 0.1, "ar100": 0.3}
    columns = columns_of([Row(trial(4, reward=0.5, metrics=metrics)), Row(trial(5, reward=0.4, metrics={}))])
    assert [column.head for column in columns[:-2]] == ["#", "trial", "reward", "MACs", "energy_j", "miou", "seconds"]
    assert [column.text(1, Row(trial(4, metrics=metrics))) for column in columns[3:6]] == ["2B", "12K", "0.4321"]
    assert [column.text(1, Row(trial(5))) for column in columns[3:6]] == ["", "", ""]


def test_names_of_figures_cannot_steer_the_terminal() -> None:
    (figure,) = shown_figures(["a\x1b[2Jb"], "table")
    assert figure.head == "a [2Jb"


def test_directions_and_words_come_from_one_table() -> None:
    better = {
        name: figure_of(name).better for name in ("ap", "ap/person", "ar_small", "reward", "macs", "loss", "miou")
    }
    assert better == {
        "ap": "higher",
        "ap/person": "higher",
        "ar_small": "higher",
        "reward": "higher",
        "macs": "lower",
        "loss": "lower",
        "miou": "neither",
    }
    assert figure_of("ap").terminal_words(0.431) == "AP 0.4310"
    assert figure_of("ap").report_words(0.431) == "AP 0.4310"
    assert figure_of("macs").report_words(76.9e6) == "76.9M multiply-adds"
    assert figure_of("latency_ms").report_words(12.34) == "12.3 ms"


@pytest.mark.parametrize("name", ["ap", "ap50", "ap_small", "ar100", "ap/person", "reward"])
def test_average_precision_and_recall_are_fractions_in_terminal_and_report(name: str) -> None:
    figure = figure_of(name)
    assert figure.text(0.4312) == "0.4312"
    assert figure.terminal_words(0.4312).endswith(" 0.4312")
    assert figure.report_words(0.4312).endswith(" 0.4312")


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (0.43, "adaptive", "0.4300"),
        (0.0, "adaptive", "0.0000"),
        (3.2e-5, "adaptive", "3.2e-05"),
        (-0.5, "adaptive", "-0.5000"),
        (12.0, "adaptive", "12"),
        (-1.5e6, "adaptive", "-1.5M"),
        (7.0, "whole", "7"),
        (23.4, "seconds", "23"),
    ],
)
def test_numbers_are_written_in_the_style_of_their_figure(value: float, style: NumberStyle, text: str) -> None:
    assert number_text(value, style) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (76_937_824, "76.9M"),
        (1.5e9, "1.5B"),
        (288_799, "289K"),
        (12, "12"),
        (1000, "1K"),
        (999_600, "1M"),
        (1.8817e12, "1882B"),
    ],
)
def test_counts_have_three_figures(number: float, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "3 s"), (89, "89 s"), (91, "1 min 31 s"), (185, "3 min 05 s"), (119.7, "2 min 00 s"), (7200, "2.0 h")],
)
def test_durations_are_in_the_unit_that_suits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_trial_is_described_in_a_few_words() -> None:
    assert describe(trial(0, status="completed", reward=0.5)) == "reward 0.5000"
