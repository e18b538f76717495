"""Whether a score means what it says, and how to make it so.

Shapes: N answers, A classes.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from poseact.geometry import FloatArray

NUM_BINS = 15

MAX_LOG_TEMPERATURE = 3.0
"""Temperatures are looked for from 1/20 to 20."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same score."""

    count: int
    score: float
    """Mean of what was claimed."""

    right: float
    """Share that was right."""


def reliability(score_N: npt.NDArray[np.floating], is_right_N: npt.NDArray[np.bool_]) -> list[Bin]:
    """Sort answers by score into 15 bins that hold equally many.

    Args:
        score_N: Claimed probability of being right, (N,), in [0, 1].
        is_right_N: Whether it was, (N,).

    Returns:
        The bins by score; fewer if there are fewer answers.
    """
    order = np.argsort(score_N, kind="stable")
    return [
        Bin(
            count=len(rows),
            score=float(score_N[rows].mean()),
            right=float(is_right_N[rows].mean()),
        )
        for rows in np.array_split(order, NUM_BINS)
        if len(rows)
    ]


def expected_calibration_error(
    score_N: npt.NDArray[np.floating], is_right_N: npt.NDArray[np.bool_]
) -> float:
    """Return the mean gap between score and share of right answers.

    Args:
        score_N: Claimed probability of being right, (N,), in [0, 1].
        is_right_N: Whether it was, (N,).

    Returns:
        In [0, 1]; over the bins of ``reliability``.

    Source:
        ECE with equal-mass bins; Nguyen and O'Connor, Posterior calibration and exploratory
        analysis for natural language processing models, 2015.
    """
    bins = reliability(score_N, is_right_N)
    gaps = [abs(one.score - one.right) for one in bins]
    return float(np.average(gaps, weights=[one.count for one in bins]))


def brier_score(labels_N: npt.NDArray[np.int64], scores_NA: FloatArray) -> float:
    """Return the mean squared distance of the scores from the truth, summed over the classes.

    Args:
        labels_N: True class of each answer, (N,).
        scores_NA: Probabilities, (N, A).

    Returns:
        From 0, always certain and right, to 2, always certain and wrong.

    Source:
        Brier, Verification of forecasts expressed in terms of probability, 1950.
    """
    truth_NA = np.eye(scores_NA.shape[1])[labels_N]
    return float(np.square(scores_NA - truth_NA).sum(axis=1).mean())


def fit_temperature(labels_N: npt.NDArray[np.int64], scores_NA: FloatArray) -> float:
    """Find what to divide logits by, so that scores come true as often as they say.

    The best class stays the best one whatever the temperature.

    Args:
        labels_N: True class of each answer, (N,); answers that the model was not trained on.
        scores_NA: Probabilities at temperature 1, (N, A).

    Returns:
        The temperature at which the truth is likeliest; above 1 where scores were too certain. 1 if
        all answers are right: however certain they became, that would prove nothing.

    Source:
        Guo et al., On calibration of modern neural networks, 2017.
    """
    if (scores_NA.argmax(axis=1) == labels_N).all():
        return 1.0
    # logits up to a constant of each row, which softmax ignores
    logits_NA = np.log(np.maximum(scores_NA.astype(np.float64), np.finfo(np.float32).tiny))

    def surprise(log_temperature: float) -> float:
        scaled_NA = logits_NA / np.exp(log_temperature)
        total_N = np.logaddexp.reduce(scaled_NA, axis=1)
        return float(np.mean(total_N - scaled_NA[np.arange(len(labels_N)), labels_N]))

    bounds = (-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))
