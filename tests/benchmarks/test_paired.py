"""Paired comparisons, against figures by hand and SciPy's."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.paired import difference, holm


def test_p_is_the_share_of_changes_of_sign_that_are_as_far_from_nothing() -> None:
    # By hand: of the 16 changes of sign of 1, 2, 3, 4 only two have a sum as far from 0 as 10.
    found = difference(np.array([1.0, 2, 3, 4]), np.zeros(4))
    assert found.mean == 2.5
    assert found.p == pytest.approx(2 / 16, abs=0.005)
    assert difference(np.zeros(4), np.array([1.0, 2, 3, 4])).p == found.p
    assert difference(np.ones(5), np.ones(5)).p == 1


def test_an_interval_of_a_difference_is_about_that_of_a_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=200), rng.normal(0.5, 0.1, 200)
    found = difference(shared + own, shared)
    error = stats.sem(own)
    assert (found.low, found.high) == pytest.approx((own.mean() - 1.96 * error, own.mean() + 1.96 * error), abs=0.002)


def test_correction_for_many_comparisons_is_holms() -> None:
    # By hand: 0.01 x 4, 0.03 x 2 which is below the one before it, 0.02 x 3, 0.04.
    assert holm([0.01, 0.03, 0.02, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
