"""Rank correlations and regret: equal to SciPy's, with ties, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas.assessment.correlation import kendall_tau_b, spearman, top_regret

# Whole numbers of a small range, so that ties are frequent.
VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20)


@given(VALUES)
def test_both_correlations_equal_scipys_with_ties(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=float).T
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(spearman(first, second))
        assert np.isnan(kendall_tau_b(first, second))
        return
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert kendall_tau_b(first, second) == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-12)


def test_rows_are_taken_one_by_one() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 3, 9))
    for figures in (spearman(first, second), kendall_tau_b(first, second)):
        assert figures.shape == (4, 3)
    assert kendall_tau_b(first, second)[2, 1] == kendall_tau_b(first[2, 1], second[2, 1])


def test_regret_is_what_the_best_of_the_chosen_lacks() -> None:
    proxy, target = np.array([0.9, 0.8, 0.1, 0.7]), np.array([0.5, 0.6, 0.9, 0.7])
    # By hand: the proxy's best has 0.5 of 0.9; the best of its three has 0.7; all four hold the best.
    assert [round(float(top_regret(proxy, target, top)), 12) for top in (1, 3, 4)] == [0.4, 0.2, 0.0]
    for top in (0, 5):
        with pytest.raises(ValueError, match="top must be 1 to 4"):
            top_regret(proxy, target, top)
