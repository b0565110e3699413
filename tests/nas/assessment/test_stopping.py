"""What a rule would have cost, by hand, and against a search that really had it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.learning import Learning
from foundation import InputError
from nas.assessment.binomial import fewest_with_none, share_estimate
from nas.assessment.stopping import assess_rules, outcome_under
from nas.record.journal import Journal, read_record
from nas.record.record import Record
from nas.record.stopping import Stopping
from tests.nas.engine import test_loop
from tests.nas.engine.test_loop import SPACE
from tests.nas.engine.test_stopped_trials import make_search, run_all

NOISY = Learning(loss_noise=0.3)
RULE = Stopping((0.25, 0.5), worst=0.5, min_results=10)


def searched(
    folder: Path, stopping: Stopping, num_trials: int = 60, seed: int = 0, config: Mapping[str, Any] | None = None
) -> Record:
    with Journal(folder, config or {}, decisions=SPACE.decisions) as journal:
        run_all(make_search(journal, num_trials, stopping=stopping, seed=seed), NOISY)
    return read_record(folder)


@pytest.mark.parametrize(
    ("count", "number", "low", "high"),
    # From tables of Clopper and Pearson's interval.
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (2, 100, 0.0024, 0.0704),
    ],
)
def test_the_interval_of_a_share_is_that_of_the_tables(count: int, number: int, low: float, high: float) -> None:
    found = share_estimate(count, number)
    assert found.value == count / number
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_so_many_of_the_best_must_be_looked_at_before_a_rule_can_be_called_safe() -> None:
    number = fewest_with_none(0.05)
    assert share_estimate(0, number).high <= 0.05 < share_estimate(0, number - 1).high


def test_what_a_rule_would_have_done_to_random_search_is_what_it_does(tmp_path: Path) -> None:
    # Proposals of random search depend on no result, so that the two searches differ by the rule alone.
    whole = searched(tmp_path / "whole", Stopping())
    stopped = searched(tmp_path / "stopped", RULE)
    would = outcome_under(whole, RULE, "whole").share_done
    does = [stopped.trials[number].share_done for number in stopped.told]
    assert list(would) == does
    assert {0.25, 0.5, 1.0} == set(does)


def test_what_people_put_in_has_no_limits_in_a_judged_search_either(tmp_path: Path) -> None:
    begin_with = [trial.proposal.decisions for trial in searched(tmp_path / "first", Stopping()).trials.values()]
    for name, rule in (("whole", Stopping()), ("stopped", RULE)):
        with Journal(tmp_path / name, {}, begin_with[:40]) as journal:
            run_all(make_search(journal, 60, stopping=rule), NOISY)
    whole, stopped = read_record(tmp_path / "whole"), read_record(tmp_path / "stopped")
    does = [stopped.trials[number].share_done for number in stopped.told]
    assert list(outcome_under(whole, RULE, "whole").share_done) == does
    assert set(does[:40]) == {1.0}
    assert min(does[40:]) < 1


def test_where_no_rule_would_have_been_chosen_nothing_is_saved_and_the_search_counts(tmp_path: Path) -> None:
    records = {f"run{seed}": searched(tmp_path / f"{seed}", Stopping(), seed=seed) for seed in range(3)}
    rules = [replace(RULE, shares=(share,), worst=worst) for share in (0.25, 0.5) for worst in (0.3, 0.5, 0.7)]
    found = assess_rules(records, rules)
    assert {type(rule) for rule in found.left_out} == {Stopping, type(None)}
    assert found.chosen is not None
    assert found.chosen.num_trainings == 180
    assert found.chosen.num_top == 18


def test_the_figures_are_counts_over_all_searches(tmp_path: Path) -> None:
    records = {f"run{seed}": searched(tmp_path / f"{seed}", Stopping(), seed=seed) for seed in range(3)}
    rules = [RULE, replace(RULE, worst=0.1), replace(RULE, worst=0.9)]
    found = assess_rules(records, rules)
    for figures in found.rules:
        assert (figures.num_trainings, figures.num_top) == (180, 18)
        assert figures.saved.low <= figures.saved.value <= figures.saved.high
        assert figures.top_stopped.value == figures.num_top_stopped / 18
        # 18 of the best are too few for any rule to be called safe.
        assert not figures.is_safe
    some, few, most = found.rules
    assert few.num_stopped < some.num_stopped < most.num_stopped
    assert few.saved.value < some.saved.value < most.saved.value
    assert most.num_top_stopped > few.num_top_stopped

    # Each search has the rule that the others choose: none that lost a top one there.
    assert len(found.left_out) == 3
    assert found.chosen is not None
    assert found.chosen.num_trainings == 180


def test_without_other_searches_nothing_is_left_out(tmp_path: Path) -> None:
    found = assess_rules({"run": searched(tmp_path, Stopping())}, [RULE])
    assert (found.left_out, found.chosen) == ((), None)


@pytest.mark.long
def test_a_rule_that_stops_nothing_of_many_is_safe_and_one_that_stops_some_of_the_best_is_not(tmp_path: Path) -> None:
    record = searched(tmp_path, Stopping(), 730)
    # The loss says little here: to stop the worse half loses good ones too, to stop what is far off does not.
    careful, bold = assess_rules({"run": record}, [replace(RULE, margin=10.0), RULE]).rules
    assert careful.is_safe
    assert bold.num_top_stopped > 1
    assert not bold.is_safe


def test_a_search_that_stopped_trainings_or_has_no_losses_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mine: it stopped trainings itself"):
        outcome_under(searched(tmp_path / "stopped", RULE), RULE, "mine")
    # One whose limits stopped none has trained everything.
    rule = replace(RULE, margin=10.0)
    assert set(outcome_under(searched(tmp_path / "all", rule), rule, "mine").share_done) == {1.0}
    with Journal(tmp_path / "plain", {}) as journal:
        test_loop.run_all(test_loop.make_search(journal, 3))
    with pytest.raises(InputError, match="none of its trials has both a reward and a loss curve"):
        outcome_under(read_record(tmp_path / "plain"), RULE, "mine")
