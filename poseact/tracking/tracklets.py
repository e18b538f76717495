"""First step of linking: stretches that hold one person each, found frame by frame.

Shape letters: N rows, M people followed, P people of a frame, K tracklets, J joints.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from poseact.tracking.motion import RealArray, fit_lines, moments_of, shifted
from poseact.tracking.similarity import likeness

IndexArray: TypeAlias = npt.NDArray[np.intp]

COAST_S: Final = 1.0
"""Somebody not found for longer is no longer followed, which is to be matched, or to be taken for
the one whom another covers."""

PATIENCE_S: Final = 0.5
"""Time without being found after which a likeness counts 1/e: where people are by then is a guess,
which must not take a box from somebody just seen. With ``LEAST_LIKENESS``, nobody is matched after
0.46 s."""

LEAST_LIKENESS: Final = 0.4
"""Whoever is less alike is somebody else. Below a half, so that the same box alone is enough."""

SURE_LIKENESS: Final = 0.6
"""Below, it may be somebody else after all; with noise of 3 % of the height, 0.85 is usual."""

COVERING_LIKENESS: Final = 0.5
"""Two people so alike have one box after the detector's suppression of doubles."""


def find_tracklets(
    frames: Sequence[slice], pts_s_N: RealArray, boxes_N4: RealArray, joints_NJ3: RealArray
) -> IndexArray:
    """Follow people from frame to frame; cut wherever it is in doubt who goes on as whom.

    In each frame people are assigned to followers by how alike they are to where these should be
    by now. People who pass each other must not leave with each other's numbers, so a stretch in
    which one covers the other is a tracklet of its own, and those before and after are too. To
    put them together is left to ``stitch``, which sees both sides.

    Args:
        frames: Rows of each frame, in order of time.
        pts_s_N: Presentation time, (N,), seconds.
        boxes_N4: x0 y0 x1 y1, (N, 4), pixels.
        joints_NJ3: x, y, confidence, (N, J, 3); confidence 0 and a finite place where not seen.

    Returns:
        Tracklet of each row, (N,), numbered by first row. Each holds one person, as far as can
        be told.
    """
    tracklet_N = np.empty(len(pts_s_N), np.intp)
    num_tracklets = 0
    # whether somebody not found meanwhile should be at the same place, or may have been there
    # when this was the row last seen of them: it cannot be told whose box the next one is
    is_covering_N, is_covered_N = np.zeros((2, len(pts_s_N)), np.bool_)
    sample_N35 = moments_of(boxes_N4)
    # of the people followed: row last found, moments of the boxes
    last_M, moments_M35 = np.empty(0, np.intp), np.empty((0, 3, 5))
    now_s = 0.0
    for frame in frames:
        step_s, now_s = pts_s_N[frame.start] - now_s, pts_s_N[frame.start]
        is_fresh_M = now_s - pts_s_N[last_M] <= COAST_S
        last_M, moments_M35 = last_M[is_fresh_M], shifted(moments_M35[is_fresh_M], step_s)
        lines = fit_lines(moments_M35)
        unseen_s_M = now_s - pts_s_N[last_M]
        expected_MJ3 = joints_NJ3[last_M]
        expected_MJ3[..., :2] += (lines.speed_M2 * unseen_s_M[:, None])[:, None]
        alike_MP = likeness(lines.boxes_M4, expected_MJ3, boxes_N4[frame], joints_NJ3[frame])

        followed, person = _match(alike_MP, np.exp((step_s - unseen_s_M) / PATIENCE_S))
        missed = np.delete(np.arange(len(last_M)), followed)
        found, before = frame.start + person, last_M[followed]
        covers = alike_MP[np.ix_(missed, person)] >= COVERING_LIKENESS
        is_covering_N[found] = covers.any(axis=0)
        is_covered_N[last_M[missed]] |= covers.any(axis=1)
        is_same = (
            (alike_MP[followed, person] >= SURE_LIKENESS)
            & (is_covering_N[found] == is_covering_N[before])
            & ~is_covered_N[before]
        )
        is_new_P = np.ones(alike_MP.shape[1], np.bool_)
        is_new_P[person[is_same]] = False
        tracklet_N[frame] = num_tracklets + np.cumsum(is_new_P) - 1
        num_tracklets += int(is_new_P.sum())
        tracklet_N[found[is_same]] = tracklet_N[before[is_same]]

        moments_P35 = sample_N35[frame]
        moments_P35[person] += moments_M35[followed]
        last_M = np.concatenate((last_M[missed], np.arange(frame.start, frame.stop)))
        moments_M35 = np.concatenate((moments_M35[missed], moments_P35))
    return tracklet_N


def _match(alike_MP: RealArray, trust_M: RealArray) -> tuple[IndexArray, IndexArray]:
    """Pair followers with people."""
    # Of the logarithm, so that one good match is worth more than two poor ones; a likeness too
    # small to count must not pull a better pair apart.
    worth_MP = np.log(np.maximum(alike_MP * trust_M[:, None] / LEAST_LIKENESS, 1))
    followed, person = linear_sum_assignment(worth_MP, maximize=True)
    is_good = worth_MP[followed, person] > 0
    return followed[is_good], person[is_good]
