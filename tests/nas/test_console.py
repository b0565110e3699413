import io

import pytest
from rich.console import Console

from controllers import Proposal
from nas.console import SearchView, describe, duration, leaderboard_table
from nas.ranking import Row, count
from nas.trial import Failure, Trial
from search_space import published_spec

SPEC = published_spec("spinenet-49")


def trial(number: int, **changes: object) -> Trial:
    return Trial(number, Proposal(()), SPEC, SPEC.key, **changes)  # type: ignore[arg-type]  # names of its own fields


def shown(*trials: Trial) -> str:
    out = io.StringIO()
    with SearchView(Console(file=out, width=200, markup=False), 12, {}) as view:
        for one in trials:
            view.show(one)
    return out.getvalue()


def test_every_trial_that_ends_has_a_line_and_the_best_is_marked() -> None:
    text = shown(
        trial(0),
        trial(0, status="completed", reward=0.25, metrics={"macs": 76.9e6}, seconds={"train": 20.0, "score": 3.4}),
        trial(1, status="reused", reward=0.25, reused_from=0),
        trial(2, status="failed", failure=Failure("nan", "the loss was not finite at step 3")),
        trial(3, status="rejected", failure=Failure("over_limit", "macs 9e+07, limit 8e+07")),
    )
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("[1/12] trial 0       reward 0.2500  76.9M MACs  23 s")
    assert lines[0].endswith("2 4r 3 4 6r 4 5r 7r 5 5|4 3 5 7 6 best")
    assert "reward 0.2500  same as trial 0, not trained again" in lines[1]
    assert "failed (nan): the loss was not finite at step 3" in lines[2]
    assert "[4/12] trial 3       rejected (over_limit): macs 9e+07, limit 8e+07" in lines[3]
    assert not lines[1].endswith("best")


@pytest.mark.parametrize("message", ["[/red]", r"bad \[/x] here", "[bold]"])
def test_messages_with_brackets_are_shown_as_they_are(message: str) -> None:
    assert message in shown(trial(0), trial(0, status="failed", failure=Failure("error", message)))


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
