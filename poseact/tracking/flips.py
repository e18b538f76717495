"""Exchange left and right where a pose model mixed them up for a moment.

Shape letters: N rows (people found), T rows of one person by time, J = 7 joints.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray
from poseact.skeleton import HEAD, MIRROR, NUM_JOINTS
from poseact.tracking.rows import rows_of_tracks

LONGEST_S: Final = 0.5
"""What lasts longer is taken for a turn."""

CLEAR: Final = 0.5
"""Sides are mixed up between two frames if exchanging them shortens the way of the joints to less
than this share. Noise on joints close together rarely does, and then little is exchanged."""


def repair_flips(
    joints_NJ3: FloatArray,
    pts_s_N: npt.NDArray[np.float64],
    track_N: npt.NDArray[np.integer],
) -> FloatArray:
    """Return joints whose left and right do not jump to and fro.

    Between two frames of a person, the labels are exchanged if all joints together move much less
    that way. Each frame then goes with the majority of the frames within ``LONGEST_S``. So one or
    a few frames are put right, and a change that lasts stays.

    Args:
        joints_NJ3: x, y, confidence, (N, 7, 3), any order; NaN for a joint that is not seen.
        pts_s_N: Presentation time of each row, (N,), seconds.
        track_N: Track of each row, (N,).

    Returns:
        The joints, (N, 7, 3), left and right exchanged in some rows.
    """
    repaired_NJ3 = joints_NJ3.copy()
    for rows in rows_of_tracks(track_N, pts_s_N):
        wrong = rows[_is_wrong(joints_NJ3[rows], pts_s_N[rows])]
        repaired_NJ3[wrong] = joints_NJ3[wrong][:, MIRROR]
    return repaired_NJ3


def _is_wrong(joints_TJ3: FloatArray, pts_s_T: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell for each frame of a person whether left and right differ from most frames around it."""
    side_T = np.ones(len(pts_s_T), np.int64)
    side_T[1:] -= 2 * (np.cumsum(_is_mixed_up(joints_TJ3)) % 2)
    first_T = np.searchsorted(pts_s_T, pts_s_T - LONGEST_S, side="left")
    after_T = np.searchsorted(pts_s_T, pts_s_T + LONGEST_S, side="right")
    total = np.concatenate(([0], np.cumsum(side_T)))
    return np.asarray((total[after_T] - total[first_T]) * side_T < 0)


def _is_mixed_up(joints_TJ3: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell for each two frames in a row whether left and right are exchanged between them."""
    paired = [joint for joint in range(NUM_JOINTS) if joint != HEAD]
    before, following = joints_TJ3[:-1, :, :2], joints_TJ3[1:, :, :2]
    straight = np.linalg.norm(following - before, axis=2)[:, paired]
    exchanged = np.linalg.norm(following[:, MIRROR] - before, axis=2)[:, paired]
    is_known = np.isfinite(straight) & np.isfinite(exchanged)
    way_straight = np.where(is_known, straight, 0).sum(axis=1)
    way_exchanged = np.where(is_known, exchanged, 0).sum(axis=1)
    return np.asarray(way_exchanged < CLEAR * way_straight)
