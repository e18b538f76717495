"""Take the jitter out of joints without lagging behind them.

Shape letters: N rows (people found), T rows of one person by time, J joints, K numbers that are
averaged together.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray
from poseact.tracking.motion import RealArray
from poseact.tracking.rows import rows_of_tracks

CUTOFF_HZ: Final = 1.0
"""Cutoff for a joint at rest; lower is calmer."""

CUTOFF_HZ_PER_SPEED: Final = 5.0
"""Rise of the cutoff per body radius a second; higher follows faster."""

REST_SPEED: Final = 0.5
"""Speed that is not told from noise, body radii a second: jitter of 1 % of the height has it."""

SPEED_TAU_S: Final = 0.08
"""Time constant of the filter in front of the speed."""

REACH_S: Final = 0.5
"""Frames further apart do not mix."""

LEAST_WEIGHT: Final = 0.01
"""Of a joint that was seen with no confidence at all."""


def smooth_joints(
    joints_NJ3: FloatArray, pts_s_N: RealArray, track_N: npt.NDArray[np.integer]
) -> FloatArray:
    """Return joints that rest when the person rests and follow when they move.

    Each joint becomes a mean over the frames around it, weighted by confidence and by
    exp(-|time| / tau): the average of a one-pole low-pass run forward and one run backward, which
    shifts nothing in time. As in the One-Euro filter the cutoff, 1 / (2 pi tau), rises with the
    speed of the joint. Speed is counted in radii of the person's own body, so that near and far
    people are treated alike.

    Args:
        joints_NJ3: x, y, confidence in [0, 1], (N, J, 3), any order; NaN where not seen.
        pts_s_N: Presentation time of each row, (N,), seconds; steps need not be equal.
        track_N: Track of each row, (N,).

    Returns:
        The joints, (N, J, 3), float32. A joint that is not seen stays NaN and moves nothing;
        confidences stay.

    Source:
        Casiez, Roussel and Vogel (2012), "1 Euro filter", made symmetric in time.
    """
    smoothed_NJ3 = joints_NJ3.astype(np.float32)
    for rows in rows_of_tracks(track_N, pts_s_N):
        smoothed_NJ3[rows, :, :2] = _smooth_person(joints_NJ3[rows], pts_s_N[rows])
    return smoothed_NJ3


def _smooth_person(joints_TJ3: FloatArray, pts_s_T: RealArray) -> RealArray:
    """Return the places of the joints of one person, (T, J, 2)."""
    xy_TJ2 = joints_TJ3[..., :2].astype(np.float64)
    is_seen_TJ = np.isfinite(xy_TJ2).all(axis=2)
    xy_TJ2[~is_seen_TJ] = np.nan
    weight_TJ = np.where(is_seen_TJ, np.fmax(joints_TJ3[..., 2], LEAST_WEIGHT), 0)
    speed_TJ = _speed(xy_TJ2, weight_TJ, pts_s_T) / _body_radius(xy_TJ2)
    cutoff_hz_TJ = CUTOFF_HZ + CUTOFF_HZ_PER_SPEED * np.maximum(speed_TJ - REST_SPEED, 0)
    smoothed_TJ2 = _mean_around(xy_TJ2, weight_TJ, pts_s_T, 1 / (2 * np.pi * cutoff_hz_TJ))
    smoothed_TJ2[~is_seen_TJ] = np.nan
    return smoothed_TJ2


def _speed(xy_TJ2: RealArray, weight_TJ: RealArray, pts_s_T: RealArray) -> RealArray:
    """Return the mean speed of each joint around each row, pixels per second; 0 if unknown."""
    calm_TJ2 = _mean_around(xy_TJ2, weight_TJ, pts_s_T, SPEED_TAU_S)
    step_s_T = np.diff(pts_s_T, append=np.nan)
    step_s_T[(step_s_T <= 0) | (step_s_T > REACH_S)] = np.nan
    way_TJ = np.linalg.norm(np.diff(calm_TJ2, axis=0, append=np.nan), axis=2)
    speed_TJ = way_TJ / step_s_T[:, None]
    is_known_TJ = np.isfinite(speed_TJ) & (weight_TJ > 0)
    speed_TJ1 = np.where(is_known_TJ, speed_TJ, 0)[..., None]
    mean_TJ1 = _mean_around(speed_TJ1, is_known_TJ.astype(np.float64), pts_s_T, SPEED_TAU_S)
    return np.nan_to_num(mean_TJ1[..., 0])


def _body_radius(xy_TJ2: RealArray) -> float:
    """Return the root mean square distance of the joints from their middle, pixels.

    It is the median over the frames, and at least a pixel.
    """
    num_seen_T = np.maximum(np.isfinite(xy_TJ2[..., 0]).sum(axis=1), 1)
    middle_T2 = np.nansum(xy_TJ2, axis=1) / num_seen_T[:, None]
    square_T = np.nansum(np.square(xy_TJ2 - middle_T2[:, None]), axis=(1, 2)) / num_seen_T
    return max(1.0, float(np.sqrt(np.median(square_T))))


def _mean_around(
    values_TJK: RealArray, weight_TJ: RealArray, pts_s_T: RealArray, tau_s: RealArray | float
) -> RealArray:
    """Return the mean around each row, weighted also by exp(-|time| / tau) with its own tau.

    NaN where all weights are 0.
    """
    tau_s_TJ = np.broadcast_to(tau_s, weight_TJ.shape)
    total_TJ = weight_TJ.copy()
    part_TJK = np.where(weight_TJ[..., None] > 0, values_TJK, 0) * weight_TJ[..., None]
    sum_TJK = part_TJK.copy()
    for offset in range(1, len(pts_s_T)):
        early, late = slice(None, -offset), slice(offset, None)
        away_s_T = pts_s_T[late] - pts_s_T[early]
        is_near_T = away_s_T <= REACH_S
        if not is_near_T.any():
            break
        away_s_T1 = np.where(is_near_T, away_s_T, np.inf)[:, None]
        for to, of in ((early, late), (late, early)):
            fade_TJ = np.exp(-away_s_T1 / tau_s_TJ[to])
            total_TJ[to] += fade_TJ * weight_TJ[of]
            sum_TJK[to] += fade_TJ[..., None] * part_TJK[of]
    mean_TJK: RealArray = np.full_like(sum_TJK, np.nan)
    np.divide(sum_TJK, total_TJ[..., None], out=mean_TJK, where=total_TJ[..., None] > 0)
    return mean_TJK
