"""Take the jitter out of joints without lagging behind them.

Shape letters: N rows (people found), J joints, K numbers to be averaged.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray

TimeArray: TypeAlias = npt.NDArray[np.float64]

CUTOFF_HZ: Final = 0.7
"""Cutoff for a joint at rest; lower is calmer."""

CUTOFF_PER_SPEED: Final = 4.0
"""Rise of the cutoff, in Hz per body radius a second; higher follows faster."""

SPEED_TAU_S: Final = 0.08
"""Time constant of the filter with which speed is measured."""

REACH_S: Final = 0.5
"""Rows further apart than this do not mix."""

LEAST_WEIGHT: Final = 0.01
"""Of a joint that was seen with no confidence at all."""


def smooth_joints(
    joints_NJ3: FloatArray, pts_s_N: TimeArray, track_N: npt.NDArray[np.integer]
) -> FloatArray:
    """Return joints that rest when the person rests and follow when they move.

    Each joint becomes a mean over the frames around it, weighted by confidence and by
    exp(-|time| / tau): the average of a one-pole low-pass run forward and one run backward, which
    shifts nothing in time. As in the One-Euro filter the cutoff, 1 / (2 pi tau), rises with the
    speed of the joint. Speed is measured in the radius of the person's own body, so that near
    and far people are treated alike.

    Args:
        joints_NJ3: x, y, confidence in [0, 1], (N, J, 3), any order; NaN where not seen.
        pts_s_N: Presentation time of each row, (N,), seconds; steps need not be equal.
        track_N: Track of each row, (N,).

    Returns:
        The joints, (N, J, 3), float32. NaN stays NaN and moves nothing; so do confidences.

    Source:
        Casiez, Roussel and Vogel (2012), "1 Euro filter", made symmetric in time.
    """
    order = np.lexsort((pts_s_N, track_N))
    xy_NJ2 = joints_NJ3[order, :, :2].astype(np.float64)
    confidence_NJ = joints_NJ3[order, :, 2].astype(np.float64)
    weight_NJ = np.where(np.isfinite(xy_NJ2).all(axis=2), np.fmax(confidence_NJ, LEAST_WEIGHT), 0)
    around = _Around(pts_s_N[order], track_N[order])

    speed_NJ = _speed(xy_NJ2, weight_NJ, around) / _body_radius(xy_NJ2, track_N[order])[:, None]
    tau_NJ = 1 / (2 * np.pi * (CUTOFF_HZ + CUTOFF_PER_SPEED * speed_NJ))
    smoothed_NJ3 = joints_NJ3.astype(np.float32)
    smoothed_NJ3[order, :, :2] = around.mean(xy_NJ2, weight_NJ, tau_NJ)
    return smoothed_NJ3
