import io

import pytest
from rich.console import Console

from controllers import Proposal
from nas.record.ranking import Row
from nas.record.trial import Trial
from nas.terminal.figures import count, duration
from nas.terminal.tables import describe, leaderboard_table
from search_space import published_spec

SPEC = published_spec("spinenet-49")


def trial(number: int, **changes: object) -> Trial:
    return Trial(number, Proposal(()), SPEC, SPEC.key, **changes)  # type: ignore[arg-type]  # names of its own fields


def test_the_table_ranks_and_leaves_out_what_is_not_there() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, markup=False)
    console.print(leaderboard_table([Row(trial(4, reward=0.5, metrics={"ap": 0.5, "macs": 2e9}))], "Best of [x]"))
    console.print(leaderboard_table([Row(trial(5, reward=0.5, metrics={"score": 1.0}))], "Best"))
    text = out.getvalue()
    assert "Best of [x]" in text
    assert "50.0" in text
    assert "2B" in text
    assert text.count("AP") == 1
    assert "latency" not in text
    timed = [trial(6, reward=0.5, metrics={"ap": 0.5, "latency_ms": 12.34}), trial(7, reward=0.4, metrics={"ap": 0.4})]
    console.print(leaderboard_table([Row(one) for one in timed], "Best"))
    assert "latency ms" in out.getvalue()
    assert "12.3" in out.getvalue()


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
