"""The ranking of trials, and a leaderboard's filters and sorting: figures of any name, a word where nothing is left."""

import re
from dataclasses import replace

import pytest

from controllers.base import Proposal
from foundation import InputError
from nas.record.ranking import Row, filter_rows, ranges_of, sort_rows
from nas.record.trial import Trial, best_trials
from search_space import published_spec

NAMES = (
    *("ap/T-shirt", "ap/parasail_(sports)", "ap/a and b", "ap/a<b", 'ap/12" disc', "ap/it's", "ap/a b>=2 and c"),
    *("ap/日本", "-depth", 'ap/"both" it\'s', " padded ", "a=b", "ap,x", "energy.j"),
)
SPEC = published_spec("spinenet-49")


def rows_with(**metrics: list[float]) -> list[Row]:
    return rows_of_metrics([dict(zip(metrics, values, strict=True)) for values in zip(*metrics.values(), strict=True)])


def rows_of_metrics(metrics: list[dict[str, float]]) -> list[Row]:
    trial = Trial(0, Proposal((0,), 0.0), SPEC, "key", "completed", reward=0.5)
    return [Row(replace(trial, number=number, metrics=one)) for number, one in enumerate(metrics)]


def numbers(rows: list[Row]) -> list[int]:
    return [row.trial.number for row in rows]


def test_what_was_promoted_further_comes_first_and_of_equal_rewards_the_earlier() -> None:
    rewards_and_rungs = [(0.5, 0), (0.9, 0), (0.9, 0), (0.2, 1), (0.3, 1), (0.1, 2), (None, 2)]
    trials = {}
    for number, (reward, rung) in enumerate(rewards_and_rungs):
        trials[number] = Trial(number, Proposal((0,), rung=rung), SPEC, f"key {number}", reward=reward)
    assert [trial.number for trial in best_trials(trials)] == [5, 4, 3, 1, 2, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_any_name_can_be_filtered_and_sorted_by_in_quotes(name: str) -> None:
    rows = rows_of_metrics([{name: 0.2, "ap": 0.3}, {name: 0.9, "ap": 0.3}, {name: 0.5, "ap": 0.1}])
    doubled = name.replace('"', '""')
    assert numbers(filter_rows(rows, f'"{doubled}" > 0.3 and ap>=0.2')) == [1]
    assert numbers(filter_rows(rows, f'ap>=0.2 and "{doubled}"<=0.2')) == [0]
    assert numbers(sort_rows(rows, f'-"{doubled}"')) == [1, 2, 0]
    assert numbers(sort_rows(rows, name)) == [0, 2, 1]


@pytest.mark.parametrize("name", ["ap/T-shirt", "ap/parasail_(sports)", "ap/a and b", 'ap/12" disc', "ap/it's", "a,b"])
def test_a_name_without_a_comparison_in_it_needs_no_quotes(name: str) -> None:
    rows = rows_of_metrics([{name: 0.2, "ap": 0.3}, {name: 0.9, "ap": 0.3}])
    assert numbers(filter_rows(rows, f"{name}>0.3")) == [1]
    assert numbers(filter_rows(rows, f"ap>0 and {name}<=0.3 and ap < 1")) == [0]
    assert numbers(sort_rows(rows, f"-{name}")) == [1, 0]


def test_single_quotes_serve_as_well_as_double_ones() -> None:
    rows = rows_of_metrics([{"a<b": 0.2}, {"a<b": 0.9}])
    assert numbers(filter_rows(rows, "'a<b'>0.3")) == [1]


@pytest.mark.parametrize(
    ("where", "rest"),
    [
        ("ap", "ap"),
        ("ap>", "ap>"),
        ("ap>0.5 and", "and"),
        ("ap>0.5 and macs", "macs"),
        ("ap>0.5 macs<3", "ap>0.5 macs<3"),
        ("ap>much", "ap>much"),
        ('"ap>0.5', '"ap'),
        ("", ""),
    ],
)
def test_a_condition_that_cannot_be_read_is_shown(where: str, rest: str) -> None:
    rows = rows_with(ap=[0.1], macs=[5.0])
    with pytest.raises(InputError, match=r"^where: (needs conditions such as macs<80e6, got|no trial has) ") as caught:
        filter_rows(rows, where)
    assert rest in str(caught.value)


def test_a_figure_that_no_row_has_is_refused_behind_a_condition_that_keeps_none() -> None:
    with pytest.raises(InputError, match=re.escape("where: no trial has speed; they have trial, rung, reward")):
        filter_rows(rows_with(ap=[0.1]), "ap>50 and speed<3")


def test_the_ranges_are_those_of_each_figure_that_the_filter_names_once() -> None:
    rows = rows_with(ap=[0.1, 0.6641, 0.3], macs=[5e9, 7e9, 6.5e9])
    assert filter_rows(rows, "ap>50 and macs<6e9 and ap<60") == []
    assert ranges_of(rows, "ap>50 and macs<6e9 and ap<60") == "ap 0.1 to 0.6641, macs 5e+09 to 7e+09"
    assert ranges_of(rows, "seconds<1") == "seconds nowhere"
