import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from controllers.gaussian_process import GaussianProcess, Hyperparameters, likeliest

Floats = NDArray[np.float64]


def matern(first: Floats, second: Floats, length_scale: float) -> Floats:
    """Return the kernel of smoothness 5/2 as it is written in the book, entry by entry."""
    matrix = np.empty((len(first), len(second)))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            r = math.dist(a, b) / length_scale
            matrix[i, j] = (1 + math.sqrt(5) * r + 5 * r * r / 3) * math.exp(-math.sqrt(5) * r)
    return matrix


def data(num_points: int = 12) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((num_points, 3))
    features = (features - features.mean(0)) / features.std(0, ddof=1)
    values = np.sin(features[:, 0]) + 0.1 * rng.standard_normal(num_points)
    return features, (values - values.mean()) / values.std(ddof=1)


def test_it_predicts_as_the_formulas_say() -> None:
    features, values = data()
    new = np.random.default_rng(1).standard_normal((5, 3))
    mean, deviation = GaussianProcess(features, values, Hyperparameters(1.0, 0.2)).predict(new)

    inverse = np.linalg.inv(matern(features, features, 1.0) + 0.2 * np.eye(len(values)))
    across = matern(features, new, 1.0)
    variance = values @ inverse @ values / len(values)
    assert mean == pytest.approx(across.T @ inverse @ values, abs=1e-10)
    expected = variance * (matern(new, new, 1.0) - across.T @ inverse @ across).diagonal()
    assert deviation**2 == pytest.approx(expected, abs=1e-10)


def test_the_likelihood_is_that_of_the_multivariate_normal_distribution() -> None:
    features, values = data()
    process = GaussianProcess(features, values, Hyperparameters(2.0, 0.05))
    covariance = matern(features, features, 2.0) + 0.05 * np.eye(len(values))
    variance = values @ np.linalg.solve(covariance, values) / len(values)
    normal = torch.distributions.MultivariateNormal(
        torch.zeros(len(values), dtype=torch.float64), torch.from_numpy(variance * covariance)
    )
    expected = float(normal.log_prob(torch.from_numpy(values)))  # type: ignore[no-untyped-call]  # torch leaves it so
    assert process.log_likelihood == pytest.approx(expected, abs=1e-9)


def test_the_unit_of_the_values_changes_nothing() -> None:
    features, values = data()
    new = np.random.default_rng(1).standard_normal((5, 3))
    mean, deviation = GaussianProcess(features, values, Hyperparameters(1.0, 0.2)).predict(new)
    there, deviation_there = GaussianProcess(features, 5 + 0.01 * values, Hyperparameters(1.0, 0.2)).predict(new)
    assert (there - 5) * 100 == pytest.approx(mean, abs=1e-9)
    assert deviation_there * 100 == pytest.approx(deviation, abs=1e-9)


def test_draws_have_the_mean_and_covariance_of_the_prediction() -> None:
    features, values = data()
    new = np.random.default_rng(1).standard_normal((3, 3))
    process = GaussianProcess(features, values, Hyperparameters(1.0, 0.2))
    rng = np.random.default_rng(2)
    draws = np.array([process.draw(new, rng) for _ in range(4000)])
    mean, deviation = process.predict(new)
    assert draws.mean(0) == pytest.approx(mean, abs=4 * deviation.max() / math.sqrt(4000))
    assert draws.std(0) == pytest.approx(deviation, rel=0.06)


def test_points_that_are_equal_are_drawn_equal() -> None:
    features, values = data()
    new = np.repeat(np.random.default_rng(1).standard_normal((1, 3)), 4, axis=0)
    drawn = GaussianProcess(features, values, Hyperparameters(1.0, 0.2)).draw(new, np.random.default_rng(0))
    assert np.ptp(drawn) < 1e-3


def test_the_likeliest_tell_noise_from_a_smooth_function() -> None:
    rng = np.random.default_rng(3)
    features = rng.standard_normal((80, 4))
    smooth = features @ np.array([1.0, -2.0, 0.5, 0.0])
    assert likeliest(features, smooth).noise == 0.01
    assert likeliest(features, smooth).length_scale >= 4
    assert likeliest(features, rng.standard_normal(80)).noise == 0.6


def test_results_that_are_all_alike_are_no_error() -> None:
    features, values = data()
    process = GaussianProcess(features, np.full(len(values), 0.3), likeliest(features, np.full(len(values), 0.3)))
    assert process.draw(features, np.random.default_rng(0)) == pytest.approx(0.3, abs=1e-3)
    # All architectures may be one.
    alike = GaussianProcess(np.zeros((4, 3)), np.array([0.1, 0.2, 0.3, 0.4]), Hyperparameters(1.0, 0.2))
    assert alike.predict(np.zeros((1, 3)))[0] == pytest.approx(0.25, abs=0.05)
