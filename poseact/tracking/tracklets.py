"""First step of linking: stretches in which there is no doubt who is who, frame by frame.

Shape letters: N rows by frame, M tracklets still open, P people of a frame, J joints.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from poseact.tracking.motion import RealArray, after, fit_lines, moments_of
from poseact.tracking.similarity import likeness

IndexArray: TypeAlias = npt.NDArray[np.intp]

COAST_S: Final = 0.5
"""A tracklet goes on over this long without its person being found; beyond, `stitch` decides."""

PATIENCE_S: Final = 0.5

LEAST_LIKENESS: Final = 0.5
"""Whoever is less like the tracklet is somebody else."""

DOUBT: Final = 0.35
"""A rival less like by this or less makes a match doubtful: what noise alone does to a likeness,
or two people 4 % of their height apart."""


def find_tracklets(
    frames: Sequence[slice], pts_s_N: RealArray, boxes_N4: RealArray, joints_NJ3: RealArray
) -> IndexArray:
    """Give each row the number of a tracklet that holds one person only, as far as can be told.

    In each frame people are assigned to open tracklets for the largest total likeness with where
    these should be by now. Where one box is there for two tracklets, or two boxes for one, and it
    cannot be told which belongs to which, all that are concerned end and others begin: people who
    walk through each other must not leave with each other's numbers.

    Args:
        frames: Rows of each frame, in order of time.
        pts_s_N: Presentation time, seconds.
        boxes_N4: x0 y0 x1 y1, pixels.
        joints_NJ3: x, y, confidence; confidence 0 and a finite place where not seen.

    Returns:
        Tracklet of each row, (N,), numbered by first row.
    """
    tracklet_N = np.empty(len(pts_s_N), np.intp)
    num_tracklets, now_s = 0, pts_s_N[0] if frames else 0.0
    # of the tracklets still open: row last seen, moments of the line that the box follows
    last_M, moments_M35 = np.empty(0, np.intp), np.empty((0, 3, 5))
    for frame in frames:
        step_s, now_s = pts_s_N[frame.start] - now_s, pts_s_N[frame.start]
        is_fresh_M = now_s - pts_s_N[last_M] <= COAST_S
        last_M, moments_M35 = last_M[is_fresh_M], after(moments_M35[is_fresh_M], step_s)

        lines = fit_lines(moments_M35)
        unseen_s_M = now_s - pts_s_N[last_M]
        expected_MJ3 = joints_NJ3[last_M]
        expected_MJ3[..., :2] += (lines.speed_M2 * unseen_s_M[:, None])[:, None]
        alike_MP = likeness(lines.boxes_M4, expected_MJ3, boxes_N4[frame], joints_NJ3[frame])
        track, person, is_over_M = _match(alike_MP, np.exp((step_s - unseen_s_M) / PATIENCE_S))

        rows = np.arange(frame.start, frame.stop)
        samples_P35 = moments_of(boxes_N4[frame])
        tracklet_N[rows[person]] = tracklet_N[last_M[track]]
        last_M[track] = rows[person]
        moments_M35[track] += samples_P35[person]

        new = np.delete(np.arange(len(rows)), person)
        tracklet_N[rows[new]] = np.arange(num_tracklets, num_tracklets + len(new))
        num_tracklets += len(new)
        if len(new) or is_over_M.any():
            last_M = np.concatenate((last_M[~is_over_M], rows[new]))
            moments_M35 = np.concatenate((moments_M35[~is_over_M], samples_P35[new]))
    return tracklet_N


def _match(
    alike_MP: RealArray, trust_M: RealArray
) -> tuple[IndexArray, IndexArray, npt.NDArray[np.bool_]]:
    """Pair tracklets with people where there is no doubt; tell which tracklets end in doubt."""
    # Of the logarithm, so that one good match is worth more than two poor ones; a likeness too
    # small to count must not pull a better pair apart.
    worth_MP = np.log(np.maximum(alike_MP * trust_M[:, None] / LEAST_LIKENESS, 1))
    track, person = linear_sum_assignment(worth_MP, maximize=True)
    is_good = worth_MP[track, person] > 0
    track, person = track[is_good], person[is_good]

    is_over_M = np.zeros(len(alike_MP), np.bool_)
    if len(track) == max(alike_MP.shape):
        return track, person, is_over_M
    is_rival_MP = np.zeros(alike_MP.shape, np.bool_)
    least = np.maximum(alike_MP[track, person] - DOUBT, LEAST_LIKENESS)
    is_rival_MP[:, person] = alike_MP[:, person] >= least
    is_rival_MP[track] |= alike_MP[track] >= least[:, None]
    is_free_M, is_free_P = np.ones(len(alike_MP), np.bool_), np.ones(alike_MP.shape[1], np.bool_)
    is_free_M[track] = is_free_P[person] = False
    is_over_M[is_free_M] = is_rival_MP[is_free_M].any(axis=1)
    in_doubt = is_rival_MP[is_free_M][:, person].any(axis=0) | is_rival_MP[track][:, is_free_P].any(
        axis=1
    )
    is_over_M[track[in_doubt]] = True
    return track[~in_doubt], person[~in_doubt], is_over_M
