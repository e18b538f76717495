"""Whether a score means what it says."""

import numpy as np
import numpy.typing as npt

NUM_BINS = 15


def expected_calibration_error(
    score_N: npt.NDArray[np.floating], is_right_N: npt.NDArray[np.bool_]
) -> float:
    """Return the mean gap between score and share of right answers.

    Args:
        score_N: Claimed probability of being right, (N,), in [0, 1].
        is_right_N: Whether it was, (N,).

    Returns:
        In [0, 1]; over 15 bins that hold equally many answers.

    Source:
        ECE with equal-mass bins; Nguyen and O'Connor, Posterior calibration and exploratory
        analysis for natural language processing models, 2015.
    """
    order = np.argsort(score_N, kind="stable")
    bins = [rows for rows in np.array_split(order, NUM_BINS) if len(rows)]
    gaps = [abs(float(score_N[rows].mean() - is_right_N[rows].mean())) for rows in bins]
    return float(np.average(gaps, weights=[len(rows) for rows in bins]))
