"""First step of linking: stretches that hold one person each, frame by frame.

Shape letters: N rows by frame, M people followed, P people of a frame, K tracklets, J joints.
"""

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
PATIENCE_S: Final = 0.5
LEAST_LIKENESS: Final = 0.4
COVERED: Final = 0.4
DOUBT: Final = 0.3
SWAP: Final = 0.3
CERTAIN: Final = 0.65


def find_tracklets(
    frames: Sequence[slice], pts_s_N: RealArray, boxes_N4: RealArray, joints_NJ3: RealArray
) -> tuple[IndexArray, FlagArray, IndexArray]:
    tracklet_N = np.empty(len(pts_s_N), np.intp)
    is_fog_K: list[bool] = []
    heir_of_K: list[int] = []
    clear_M = np.empty(0, np.intp)
    now_s = pts_s_N[0] if frames else 0.0
    last_M, number_M, moments_M35 = np.empty(0, np.intp), np.empty(0, np.intp), np.empty((0, 3, 5))
    is_fog_M, is_touched_M = np.empty(0, np.bool_), np.empty(0, np.bool_)
    for frame in frames:
        step_s, now_s = pts_s_N[frame.start] - now_s, pts_s_N[frame.start]
        unseen_s_M = now_s - pts_s_N[last_M]
        keep = unseen_s_M <= COAST_S
        if not keep.all():
            last_M, number_M, moments_M35 = last_M[keep], number_M[keep], moments_M35[keep]
            clear_M = clear_M[keep]
            is_fog_M, is_touched_M, unseen_s_M = is_fog_M[keep], is_touched_M[keep], unseen_s_M[keep]
        moments_M35 = shifted(moments_M35, step_s)
        lines = fit_lines(moments_M35)
        expected_MJ3 = joints_NJ3[last_M]
        expected_MJ3[..., :2] += (lines.speed_M2 * unseen_s_M[:, None])[:, None]
        alike_MP = likeness(lines.boxes_M4, expected_MJ3, boxes_N4[frame], joints_NJ3[frame])
        trust_M = np.exp((step_s - unseen_s_M) / PATIENCE_S)
        worth_MP = np.log(np.maximum(alike_MP * trust_M[:, None] / LEAST_LIKENESS, 1))
        track, person = linear_sum_assignment(worth_MP, maximize=True)
        is_good = worth_MP[track, person] > 0
        track, person = track[is_good], person[is_good]

        fog = np.zeros(len(track), np.bool_)
        split = np.zeros(len(track), np.bool_)
        if len(track) < len(alike_MP):
            free = np.ones(len(alike_MP), np.bool_)
            free[track] = False
            free = np.flatnonzero(free)
            covers = alike_MP[np.ix_(free, person)] >= COVERED
            fog |= covers.any(axis=0)
            is_touched_M[free] |= covers.any(axis=1)
        if len(track) < alike_MP.shape[1]:
            new = np.delete(np.arange(alike_MP.shape[1]), person)
            split = (alike_MP[np.ix_(track, new)] >= alike_MP[track, person][:, None] - DOUBT).any(axis=1)
        else:
            new = np.empty(0, np.intp)
        if len(track) > 1:
            w = worth_MP[np.ix_(track, person)]
            d = np.diag(w)
            g = (d[:, None] + d - w - w.T < SWAP) & (w > 0) & (w.T > 0)
            np.fill_diagonal(g, False)
            fog |= g.any(axis=0)

        rows = np.arange(frame.start, frame.stop)
        change = (fog != is_fog_M[track]) | is_touched_M[track] | split | (alike_MP[track, person] < CERTAIN)
        fresh = np.sort(np.concatenate((person[change], new)))
        numbers = np.full(len(rows), -1)
        numbers[person] = number_M[track]
        numbers[fresh] = np.arange(len(is_fog_K), len(is_fog_K) + len(fresh))
        fogs = np.zeros(len(rows), np.bool_)
        fogs[person] = fog
        is_fog_K.extend(fogs[fresh].tolist())
        heirs = np.full(len(rows), -1)
        heirs[person] = clear_M[track]
        heir_of_K.extend(heirs[fresh].tolist())
        tracklet_N[rows] = numbers

        number_M[track] = numbers[person]
        is_fog_M[track] = fog
        clear_M[track[~fog]] = numbers[person[~fog]]
        is_touched_M[track] = False
        last_M[track] = rows[person]
        samples_P35 = moments_of(boxes_N4[frame])
        moments_M35[track] += samples_P35[person]
        if len(new):
            last_M = np.concatenate((last_M, rows[new]))
            number_M = np.concatenate((number_M, numbers[new]))
            clear_M = np.concatenate((clear_M, numbers[new]))
            moments_M35 = np.concatenate((moments_M35, samples_P35[new]))
            is_fog_M = np.concatenate((is_fog_M, np.zeros(len(new), np.bool_)))
            is_touched_M = np.concatenate((is_touched_M, np.zeros(len(new), np.bool_)))
    return tracklet_N, np.array(is_fog_K, np.bool_), np.array(heir_of_K, np.intp)
