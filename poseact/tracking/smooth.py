"""Take the jitter out of joints without lagging behind them.

Shape letters: N rows (people found), J joints, K numbers that are averaged together.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray

RealArray: TypeAlias = npt.NDArray[np.float64]

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
    order = np.lexsort((pts_s_N, track_N))
    neighbours = _Neighbours(pts_s_N[order], track_N[order])
    xy_NJ2 = joints_NJ3[order, :, :2].astype(np.float64)
    is_seen_NJ = np.isfinite(xy_NJ2).all(axis=2)
    weight_NJ = np.where(is_seen_NJ, np.fmax(joints_NJ3[order, :, 2], LEAST_WEIGHT), 0)

    radius_N = _body_radius(xy_NJ2, track_N[order])
    speed_NJ = _speed(xy_NJ2, weight_NJ, neighbours) / radius_N[:, None]
    tau_s_NJ = 1 / (
        2 * np.pi * (CUTOFF_HZ + CUTOFF_HZ_PER_SPEED * np.maximum(speed_NJ - REST_SPEED, 0))
    )
    smoothed_NJ3 = joints_NJ3.astype(np.float32)
    smoothed_NJ3[order, :, :2] = np.where(
        is_seen_NJ[..., None], neighbours.mean(xy_NJ2, weight_NJ, tau_s_NJ), np.nan
    )
    return smoothed_NJ3


def _speed(xy_NJ2: RealArray, weight_NJ: RealArray, neighbours: "_Neighbours") -> RealArray:
    """Return the mean speed of each joint around each row, pixels per second; 0 if unknown."""
    calm_NJ2 = neighbours.mean(xy_NJ2, weight_NJ, SPEED_TAU_S)
    way_NJ2 = np.diff(calm_NJ2, axis=0, append=np.nan)
    speed_NJ = np.linalg.norm(way_NJ2, axis=2) / neighbours.step_s_N[:, None]
    is_known_NJ = np.isfinite(speed_NJ) & (weight_NJ > 0)
    mean_NJ1 = neighbours.mean(speed_NJ[..., None], is_known_NJ.astype(np.float64), SPEED_TAU_S)
    return np.nan_to_num(mean_NJ1[..., 0])


def _body_radius(xy_NJ2: RealArray, track_N: npt.NDArray[np.integer]) -> RealArray:
    """Return the root mean square distance of the joints from their middle, (N,), pixels.

    It is the median over the track, and at least a pixel.
    """
    seen_N11 = np.maximum(np.isfinite(xy_NJ2[..., :1]).sum(axis=1, keepdims=True), 1)
    middle_N12 = np.nansum(xy_NJ2, axis=1, keepdims=True) / seen_N11
    square_N = np.nansum(np.square(xy_NJ2 - middle_N12), axis=(1, 2)) / seen_N11[:, 0, 0]
    borders = np.flatnonzero(np.diff(track_N)) + 1
    radius_N = np.empty(len(track_N))
    for rows in np.split(np.arange(len(track_N)), borders):
        radius_N[rows] = max(1.0, np.sqrt(np.median(square_N[rows]))) if len(rows) else 1.0
    return radius_N


class _Neighbours:
    """Rows of the same track and near in time; rows are sorted by track, then time."""

    def __init__(self, pts_s_N: RealArray, track_N: npt.NDArray[np.integer]) -> None:
        self._pts_s_N, self._track_N = pts_s_N, track_N
        step_s_N = np.diff(pts_s_N, append=np.nan)
        is_same_N = np.diff(track_N, append=-1) == 0
        self.step_s_N = np.where(is_same_N & (step_s_N <= REACH_S), step_s_N, np.nan)
        """Time to the next row; NaN if that is not a neighbour."""

    def mean(
        self, values_NJK: RealArray, weight_NJ: RealArray, tau_s_NJ: RealArray | float
    ) -> RealArray:
        """Return the mean around each row, weighted also by exp(-|time| / tau) of that row."""
        tau_s_NJ = np.broadcast_to(tau_s_NJ, weight_NJ.shape)
        total_NJ = weight_NJ.copy()
        part_NJK = np.where(weight_NJ[..., None] > 0, values_NJK, 0) * weight_NJ[..., None]
        sum_NJK = part_NJK.copy()
        for offset in range(1, len(weight_NJ)):
            early, late = slice(None, -offset), slice(offset, None)
            away_s_N = self._pts_s_N[late] - self._pts_s_N[early]
            is_near_N = (self._track_N[late] == self._track_N[early]) & (away_s_N <= REACH_S)
            if not is_near_N.any():
                break
            away_s_N1 = np.where(is_near_N, away_s_N, np.inf)[:, None]
            for to, of in ((early, late), (late, early)):
                fade_NJ = np.exp(-away_s_N1 / tau_s_NJ[to])
                total_NJ[to] += fade_NJ * weight_NJ[of]
                sum_NJK[to] += fade_NJ[..., None] * part_NJK[of]
        with np.errstate(invalid="ignore"):
            mean_NJK: RealArray = sum_NJK / total_NJ[..., None]
        return mean_NJK
