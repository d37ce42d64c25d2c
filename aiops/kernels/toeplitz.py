"""Gaussian processes on evenly spaced samples: their covariance matrix is Toeplitz, one number per distance.

The Durbin-Levinson recursion predicts each sample from all before it, which gives the exact likelihood in O(n^2) time and O(n)
memory, where a Cholesky factor takes O(n^3) (Golub and Van Loan, Matrix Computations, 4.7).
"""

from __future__ import annotations

import math

import numpy as np

from aiops.domain import FloatArray
from aiops.kernels.compiled import njit


@njit(cache=True, error_model="numpy")
def log_likelihood(covariance: FloatArray, values: FloatArray) -> float:
    """Log density of `values` (n,) under a zero-mean Gaussian with `covariance` (n,) by distance; -inf where that is not positive."""
    size = len(values)
    weights, turned = np.zeros(size), np.zeros(size)
    variance = covariance[0]
    if not variance > 0:
        return -np.inf
    total = math.log(variance) + values[0] * values[0] / variance
    for n in range(1, size):
        reach = covariance[n]
        for j in range(n - 1):
            reach -= weights[j] * covariance[n - 1 - j]
        reflection = reach / variance
        for j in range(n - 1):
            turned[j] = weights[j] - reflection * weights[n - 2 - j]
        for j in range(n - 1):
            weights[j] = turned[j]
        weights[n - 1] = reflection
        variance *= 1.0 - reflection * reflection
        if not variance > 0:
            return -np.inf
        miss = values[n]
        for j in range(n):
            miss -= weights[j] * values[n - 1 - j]
        total += math.log(variance) + miss * miss / variance
    return float(-0.5 * (total + size * math.log(2.0 * math.pi)))


def predictor(covariance: FloatArray, size: int, horizon: int) -> FloatArray:
    """(horizon, size) weights of the last `size` samples, oldest first, in the mean of the next `horizon`.

    `covariance` (size + horizon,) by distance. O(size^3)."""
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    ahead = np.add.outer(np.arange(1, horizon + 1), np.arange(size - 1, -1, -1))
    return np.asarray(np.linalg.solve(covariance[lag], covariance[ahead].T).T)
