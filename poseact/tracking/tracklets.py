"""First step of linking: stretches that hold one person each, found frame by frame.

Shape letters: N rows, M people followed, P people of a frame, K tracklets, J joints.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from poseact.tracking.motion import RealArray, fit_lines, moments_of, shifted
from poseact.tracking.similarity import likeness

IndexArray: TypeAlias = npt.NDArray[np.intp]
FlagArray: TypeAlias = npt.NDArray[np.bool_]

COAST_S: Final = 1.0
"""Somebody not found for longer is no longer followed."""

PATIENCE_S: Final = 0.5
"""Time without being found after which a likeness counts 1/e: where people are by then is a guess,
which must not take a box from somebody just seen."""

LEAST_LIKENESS: Final = 0.4
"""Whoever is less alike is somebody else. Below a half, so that the same box alone is enough."""

SURE_LIKENESS: Final = 0.6
"""Below, it may be somebody else after all; with noise of 3 % of the height, 0.85 is usual."""

COVERING_LIKENESS: Final = 0.5
"""Two people so alike have one box after the detector's suppression of doubles."""


@dataclasses.dataclass(frozen=True)
class Tracklets:
    """Stretches of rows, numbered by first row."""

    tracklet_N: IndexArray
    is_covered_K: FlagArray
    """Whether another person, not found meanwhile, should be at the same place: it cannot be told
    whose box it is."""


def find_tracklets(
    frames: Sequence[slice], pts_s_N: RealArray, boxes_N4: RealArray, joints_NJ3: RealArray
) -> Tracklets:
    """Follow people from frame to frame; cut wherever it is in doubt who goes on as whom.

    In each frame people are assigned to followers by how alike they are to where these should be
    by now. People who pass each other must not leave with each other's numbers, so a stretch in
    which one covers the other is a tracklet of its own, and those before and after are too. To
    put them together is left to ``stitch``, which sees both sides.

    Args:
        frames: Rows of each frame, in order of time.
        pts_s_N: Presentation time, seconds.
        boxes_N4: x0 y0 x1 y1, pixels.
        joints_NJ3: x, y, confidence; confidence 0 and a finite place where not seen.

    Returns:
        Tracklets that hold one person each, as far as can be told.
    """
    follower_N = np.empty(len(pts_s_N), np.intp)
    is_covered_N, is_cut_N = np.zeros(len(pts_s_N), np.bool_), np.zeros(len(pts_s_N), np.bool_)
    sample_N35 = moments_of(boxes_N4)
    num_followers, now_s = 0, pts_s_N[0] if frames else 0.0
    # of the people followed: row last found, line of the box, whether it may have been covered
    last_M, moments_M35, is_lost_M = np.empty(0, np.intp), np.empty((0, 3, 5)), np.empty(0, bool)
    for frame in frames:
        step_s, now_s = pts_s_N[frame.start] - now_s, pts_s_N[frame.start]
        is_fresh_M = now_s - pts_s_N[last_M] <= COAST_S
        if not is_fresh_M.all():
            last_M, is_lost_M = last_M[is_fresh_M], is_lost_M[is_fresh_M]
            moments_M35 = moments_M35[is_fresh_M]
        unseen_s_M = now_s - pts_s_N[last_M]
        moments_M35 = shifted(moments_M35, step_s)
        lines = fit_lines(moments_M35)
        expected_MJ3 = joints_NJ3[last_M]
        expected_MJ3[..., :2] += (lines.speed_M2 * unseen_s_M[:, None])[:, None]
        alike_MP = likeness(lines.boxes_M4, expected_MJ3, boxes_N4[frame], joints_NJ3[frame])

        followed, person = _match(alike_MP, np.exp((step_s - unseen_s_M) / PATIENCE_S))
        found = frame.start + person
        missed, fresh = _others(followed, len(last_M)), _others(person, alike_MP.shape[1])
        covers = alike_MP[np.ix_(missed, person)] >= COVERING_LIKENESS
        is_covered_N[found] = covers.any(axis=0)
        is_cut_N[found] = is_lost_M[followed] | (alike_MP[followed, person] < SURE_LIKENESS)
        follower_N[found] = follower_N[last_M[followed]]
        last_M[followed], is_lost_M[followed] = found, False
        is_lost_M[missed] |= covers.any(axis=1)
        moments_M35[followed] += sample_N35[found]

        if len(fresh):
            new = frame.start + fresh
            follower_N[new] = np.arange(num_followers, num_followers + len(new))
            num_followers += len(new)
            last_M = np.concatenate((last_M, new))
            is_lost_M = np.concatenate((is_lost_M, np.zeros(len(new), np.bool_)))
            moments_M35 = np.concatenate((moments_M35, sample_N35[new]))
    return _cut(follower_N, is_covered_N, is_cut_N)


def _match(alike_MP: RealArray, trust_M: RealArray) -> tuple[IndexArray, IndexArray]:
    """Pair followers with people."""
    # Of the logarithm, so that one good match is worth more than two poor ones; a likeness too
    # small to count must not pull a better pair apart.
    worth_MP = np.log(np.maximum(alike_MP * trust_M[:, None] / LEAST_LIKENESS, 1))
    followed, person = linear_sum_assignment(worth_MP, maximize=True)
    is_good = worth_MP[followed, person] > 0
    return followed[is_good], person[is_good]


def _others(chosen: IndexArray, count: int) -> IndexArray:
    """Return the numbers below ``count`` that are not chosen."""
    is_other = np.ones(count, np.bool_)
    is_other[chosen] = False
    return np.flatnonzero(is_other)


def _cut(follower_N: IndexArray, is_covered_N: FlagArray, is_cut_N: FlagArray) -> Tracklets:
    """Cut the rows of each follower where asked, and where being covered starts or ends."""
    order = np.argsort(follower_N, kind="stable")
    is_first_N = is_cut_N[order]
    is_first_N[:1] = True
    is_first_N[1:] |= np.diff(follower_N[order]) > 0
    is_first_N[1:] |= np.diff(is_covered_N[order])
    # numbered by follower first, then by first row
    first_K = order[is_first_N]
    by_row_K = np.argsort(first_K)
    rank_K = np.empty_like(by_row_K)
    rank_K[by_row_K] = np.arange(len(by_row_K))
    tracklet_N = np.empty_like(follower_N)
    tracklet_N[order] = rank_K[np.cumsum(is_first_N) - 1]
    first_K = first_K[by_row_K]
    return Tracklets(tracklet_N, is_covered_N[first_K])
