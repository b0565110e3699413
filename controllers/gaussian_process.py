"""A Gaussian process: what a few results say of points that nobody has tried, and how surely."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controllers.one_thread import one_thread

Floats: TypeAlias = NDArray[np.float64]

JITTER = 1e-9
"""Added to the diagonal of a covariance whose rounding may leave it just short of positive definite."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The reach of a result, and the trust in it.

    Attributes:
        length_scale: distance over which values stay alike, in the unit of the features.
        noise: variance of the noise of one result, relative to that of the function.
    """

    length_scale: float
    noise: float


GRID = tuple(
    Hyperparameters(length_scale, noise)
    for length_scale in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    for noise in (0.01, 0.05, 0.2, 0.6)
)
"""The choice of `likeliest`: a grid, as a search by gradients would end elsewhere on another processor."""


class GaussianProcess:
    """Exact regression with the Matern kernel of smoothness 5/2, in float64 on one thread.

    Values are standardised by those that are fitted; the variance of the function is the likeliest one.

    Args:
        features: (N, F) of the points with results, N at least 2; points that are near have like values.
        values: (N,) their results.
        hyperparameters: of the kernel.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 2.1 and equation 4.17.
    """

    def __init__(self, features: Floats, values: Floats, hyperparameters: Hyperparameters) -> None:
        self._length_scale = hyperparameters.length_scale
        with one_thread():
            self._points = torch.from_numpy(features)
            targets = torch.from_numpy(values)
            self._mean, self._scale = float(targets.mean()), float(targets.std()) or 1.0
            residuals = ((targets - self._mean) / self._scale)[:, None]  # (N, 1)

            covariance = self._kernel(self._points, self._points)
            covariance.diagonal().add_(hyperparameters.noise)
            self._factor = torch.linalg.cholesky(covariance)
            self._weights = torch.cholesky_solve(residuals, self._factor)  # (N, 1)

            num_points = len(values)
            self._variance = max(float((residuals * self._weights).sum()) / num_points, 1e-12)
            half_log_determinant = float(self._factor.diagonal().log().sum())
            self.log_likelihood = -half_log_determinant - num_points / 2 * (math.log(2 * math.pi * self._variance) + 1)
            """Natural logarithm of the likelihood of the standardised values."""

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the function, without noise, at (M, F) points: (M,) and (M,)."""
        with one_thread():
            mean, covariance = self._posterior(features)
            return mean.numpy(), covariance.diagonal().clamp(min=0).sqrt().numpy()

    def draw(self, features: Floats, rng: np.random.Generator) -> Floats:
        """Draw the function at (M, F) points together, given the results: (M,)."""
        with one_thread():
            mean, covariance = self._posterior(features)
            covariance.diagonal().add_(JITTER * self._variance * self._scale**2 * len(features))
            factor, info = torch.linalg.cholesky_ex(covariance)
            if int(info):
                # Points that are nearly one: each by itself then.
                factor = covariance.diagonal().clamp(min=0).sqrt().diag()
            standard = torch.from_numpy(rng.standard_normal(len(features)))
            drawn: Floats = (mean + factor @ standard).numpy()
            return drawn

    def _posterior(self, features: Floats) -> tuple[Tensor, Tensor]:
        """Return mean (M,) and covariance (M, M) of the function, in the unit of the values."""
        points = torch.from_numpy(features)
        across = self._kernel(self._points, points)  # (N, M)
        mean = (across.T @ self._weights)[:, 0]
        explained = torch.linalg.solve_triangular(self._factor, across, upper=False)
        covariance = self._kernel(points, points) - explained.T @ explained
        return self._mean + self._scale * mean, covariance * (self._variance * self._scale**2)

    def _kernel(self, first: Tensor, second: Tensor) -> Tensor:
        distance = torch.cdist(first, second) * (math.sqrt(5) / self._length_scale)
        return (1 + distance + distance.square() / 3) * torch.exp(-distance)


def likeliest(features: Floats, values: Floats) -> Hyperparameters:
    """Return the hyperparameters of `GRID` under which (N,) values at (N, F) points are likeliest."""
    return max(GRID, key=lambda own: GaussianProcess(features, values, own).log_likelihood)
