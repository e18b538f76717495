"""Second step of linking: join tracklets over the gaps between them, all at once.

Shape letters: N rows, K tracklets, G possible joints of an end and a start.
"""

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from poseact.tracking.motion import NOISE, RealArray, fit_lines, moments_of, shifted
from poseact.tracking.similarity import box_area
from poseact.tracking.tracklets import IndexArray

WINDOW_S: Final = 1.0
"""How much of a tracklet's end or start tells where it goes or comes from."""

PLACE: Final = 0.17
"""How far the boxes of one person may be off beyond their noise, standard deviation, in sizes: a
tenth of the height, for a box that is partly covered moves."""

TURN: Final = 1.0
"""How much people change their speed, standard deviation, in sizes per second: a walk becomes a
stroll."""

DAMPING_S: Final = 2.0
"""Time constant with which the speed of a person out of sight goes down."""

SIZE_RATIO: Final = 0.12
"""How much the size may change, standard deviation of its logarithm."""

MOST_FOR_SPEED: Final = 6.0
MOST_FOR_SIZE: Final = 4.0
"""What speed and size add to the cost at most: people do turn on the spot, and a table hides
their legs."""

NOBODY: Final = -1
STEADY: Final = 1.0
ROUNDS = 3
FOGADD = 1
FAR: Final = 0.5

LONE_END: Final = 9.0
"""Cost of an end that is joined to no start."""


@dataclasses.dataclass(frozen=True)
class _Ends:
    """Starts, or ends, of tracklets."""

    time_s_K: RealArray
    centre_K2: RealArray
    """Of the box, pixels."""

    speed_K2: RealArray
    """Pixels per second."""

    speed_variance_K: RealArray
    """In sizes squared per second squared."""

    log_size_K: RealArray
    boxes_K4: RealArray


@dataclasses.dataclass(frozen=True)
class _Joints:
    before_G: IndexArray
    next_G: IndexArray
    cost_G: RealArray

    def cost_of(self, before: IndexArray, following: IndexArray) -> RealArray:
        """Inf where not possible."""
        if not len(self.cost_G):
            return np.full(len(before), np.inf)
        base = max(self.before_G.max(), self.next_G.max(), following.max(initial=0)) + 1
        keys = self.before_G * base + self.next_G
        wanted = before * base + following
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, self.cost_G[at], np.inf)


def stitch(
    tracklet_N: IndexArray, pts_s_N: RealArray, boxes_N4: RealArray, is_fog_K: npt.NDArray[np.bool_], heir_of_K: IndexArray, max_gap_s: float
) -> IndexArray:
    """Return for each tracklet the first one of the same person, (K,).

    Each end is joined to at most one start within ``max_gap_s`` after it, for the least total
    cost: the surprise at the way between them and at the changes of speed and size, for somebody
    who keeps on walking.

    Args:
        tracklet_N: Tracklet of each row, 0 to K - 1, numbered by first row.
        pts_s_N: Presentation time of each row, seconds, not decreasing.
        boxes_N4: x0 y0 x1 y1, pixels.
        max_gap_s: Longest gap to bridge.

    Source:
        Association in levels after Huang, Wu and Nevatia (2008).
    """
    if not len(tracklet_N):
        return np.empty(0, np.intp)
    order = np.argsort(tracklet_N, kind="stable")
    tracklet_N, pts_s_N, boxes_N4 = tracklet_N[order], pts_s_N[order], boxes_N4[order]
    last_K = np.append(np.flatnonzero(np.diff(tracklet_N)), len(tracklet_N) - 1)
    first_K = np.insert(last_K[:-1] + 1, 0, 0)
    end_s_K, start_s_K = pts_s_N[last_K], pts_s_N[first_K]
    end_m = _own(end_s_K, tracklet_N, pts_s_N, boxes_N4)
    start_m = _own(start_s_K, tracklet_N, pts_s_N, boxes_N4)
    before_G, next_G = _candidates(end_s_K, start_s_K, max_gap_s)
    next_K = np.full(len(last_K), NOBODY)
    for _ in range(int(ROUNDS)):
        ends, starts = _along(end_s_K, end_m, start_s_K, start_m, next_K, is_fog_K)
        cost_G = _costs(ends, before_G, starts, next_G)
        cost_G -= STEADY * (heir_of_K[next_G] == before_G)
        is_possible_G = cost_G < LONE_END
        joints = _Joints(before_G[is_possible_G], next_G[is_possible_G], cost_G[is_possible_G])
        next_K = np.full(len(last_K), NOBODY)
        _join(next_K, joints, ~is_fog_K)
        while _insert(next_K, joints, ends, starts, is_fog_K):
            pass
        _join(next_K, joints, np.ones(len(last_K), np.bool_))

    origin_K = np.arange(len(last_K))
    for before, following in enumerate(next_K.tolist()):
        # a start comes after the end before it, so in order of starts the origin is known
        if following != NOBODY:
            origin_K[following] = origin_K[before]
    return origin_K


def _join(next_K: IndexArray, joints: _Joints, is_open_K: npt.NDArray[np.bool_]) -> None:
    """Join open ends to open starts for the least total cost."""
    is_start_K = is_open_K.copy()
    is_start_K[next_K[next_K != NOBODY]] = False
    is_end_K = is_open_K & (next_K == NOBODY)
    good_G = is_end_K[joints.before_G] & is_start_K[joints.next_G]
    before, following = _cheapest(
        joints.before_G[good_G], joints.next_G[good_G], joints.cost_G[good_G], LONE_END
    )
    next_K[before] = following


def _insert(
    next_K: IndexArray, joints: _Joints, ends: _Ends, starts: _Ends, is_fog_K: npt.NDArray[np.bool_]
) -> bool:
    is_lone_K = is_fog_K & (next_K == NOBODY)
    is_lone_K[next_K[next_K != NOBODY]] = False
    a_G, f_G = joints.before_G, joints.next_G
    good = (next_K[a_G] != NOBODY) & is_lone_K[f_G]
    a_G, f_G = a_G[good], f_G[good]
    b_G = next_K[a_G]
    good = ends.time_s_K[f_G] < starts.time_s_K[b_G]
    a_G, f_G, b_G = a_G[good], f_G[good], b_G[good]
    cost = np.zeros(len(a_G))
    t0, t1 = ends.time_s_K[a_G], starts.time_s_K[b_G]
    for side in (starts, ends):
        share = ((side.time_s_K[f_G] - t0) / (t1 - t0))[:, None]
        expected = ends.boxes_K4[a_G] * (1 - share) + starts.boxes_K4[b_G] * share
        off = (side.boxes_K4[f_G] - expected) / np.exp(side.log_size_K[f_G])[:, None]
        cost += np.square(off).mean(axis=1)
    good = cost < FAR
    before, between = _cheapest(a_G[good], f_G[good], cost[good], FAR)
    next_K[between] = next_K[before]
    next_K[before] = between
    return len(between) > 0


def _own(time_s_K, tracklet_N, pts_s_N, boxes_N4):
    away_s_N = pts_s_N - time_s_K[tracklet_N]
    near = np.flatnonzero(np.abs(away_s_N) <= WINDOW_S)
    first_K = np.searchsorted(tracklet_N[near], np.arange(len(time_s_K)))
    return np.add.reduceat(moments_of(boxes_N4[near], away_s_N[near]), first_K, axis=0)


def _along(end_s_K, end_m, start_s_K, start_m, next_K, is_fog_K):
    end_m, start_m = end_m.copy(), start_m.copy()
    own_e, own_s = end_m.copy(), start_m.copy()
    for k, n in enumerate(next_K.tolist()):
        if n != NOBODY:
            moved = shifted(end_m[k], end_s_K[n] - end_s_K[k])
            end_m[n] = moved if is_fog_K[n] and not FOGADD else end_m[n] + moved
    for k in range(len(next_K) - 1, -1, -1):
        n = next_K[k]
        if n != NOBODY:
            moved = shifted(start_m[n], start_s_K[k] - start_s_K[n])
            start_m[k] = moved if is_fog_K[k] and not FOGADD else start_m[k] + moved
    return _ends(end_s_K, end_m, own_e), _ends(start_s_K, start_m, own_s)


def _ends(time_s_K, m, own) -> _Ends:
    lines = fit_lines(m)
    return _Ends(
        time_s_K=time_s_K,
        centre_K2=lines.centre_M2,
        speed_K2=lines.speed_M2,
        speed_variance_K=NOISE**2 / lines.spread_s2_M,
        boxes_K4=fit_lines(own).boxes_M4,
        log_size_K=np.log(np.maximum(box_area(lines.boxes_M4), 1)) / 2,
    )


def _candidates(
    end_s_K: RealArray, start_s_K: RealArray, max_gap_s: float
) -> tuple[IndexArray, IndexArray]:
    """Return every end with every start after it within the gap; starts are in order of time."""
    first_K = np.searchsorted(start_s_K, end_s_K, side="right")
    count_K = np.searchsorted(start_s_K, end_s_K + max_gap_s, side="right") - first_K
    before_G = np.repeat(np.arange(len(end_s_K)), count_K)
    rank_G = np.arange(len(before_G)) - np.repeat(np.cumsum(count_K) - count_K, count_K)
    return before_G, first_K[before_G] + rank_G


def _costs(ends: _Ends, before_G: IndexArray, starts: _Ends, next_G: IndexArray) -> RealArray:
    """Return the negative log-likelihood of each joint, 0 for the least surprising one."""
    gap_s_G = starts.time_s_K[next_G] - ends.time_s_K[before_G]
    size_G1 = np.exp((ends.log_size_K[before_G] + starts.log_size_K[next_G]) / 2)[:, None]
    variance_a_G = ends.speed_variance_K[before_G]
    variance_b_G = starts.speed_variance_K[next_G]
    speed_a_G2 = ends.speed_K2[before_G] / size_G1
    speed_b_G2 = starts.speed_K2[next_G] / size_G1

    share_b_G1 = (variance_a_G / (variance_a_G + variance_b_G))[:, None]
    speed_G2 = speed_a_G2 + share_b_G1 * (speed_b_G2 - speed_a_G2)
    variance_G = variance_a_G * share_b_G1[:, 0]
    way_s_G1 = DAMPING_S * (1 - np.exp(-gap_s_G / DAMPING_S))[:, None]
    off_G2 = (starts.centre_K2[next_G] - ends.centre_K2[before_G]) / size_G1 - speed_G2 * way_s_G1

    place_G = _surprise(off_G2, PLACE**2 + (TURN**2 + variance_G) * gap_s_G**2, PLACE**2)
    speed_G = _surprise(
        speed_b_G2 - speed_a_G2, TURN**2 + variance_a_G + variance_b_G, TURN**2, MOST_FOR_SPEED
    )
    log_ratio_G = starts.log_size_K[next_G] - ends.log_size_K[before_G]
    size_G = np.minimum(np.square(log_ratio_G / SIZE_RATIO) / 2, MOST_FOR_SIZE)
    return place_G + speed_G + size_G


def _surprise(
    off_G2: RealArray, variance_G: RealArray, least_variance: float, most: float = np.inf
) -> RealArray:
    """Return the negative log-likelihood of an offset; 0 if there is none at least variance."""
    unlikely_G = np.square(off_G2).sum(axis=1) / variance_G / 2
    surprise_G: RealArray = np.minimum(unlikely_G, most) + np.log(variance_G / least_variance)
    return surprise_G


def _cheapest(
    left_G: IndexArray, right_G: IndexArray, cost_G: RealArray, lone_cost: float
) -> tuple[IndexArray, IndexArray]:
    """Choose pairs, each side in one at most, for the least total cost.

    A left side without a pair costs ``lone_cost``.
    """
    left_K, left_G = np.unique(left_G, return_inverse=True)
    right_K, right_G = np.unique(right_G, return_inverse=True)
    # Each left side also has a column of its own that stands for no pair. A sparse matrix reads
    # 0 as no entry, hence the 1.
    alone = np.arange(len(left_K))
    costs = csr_array(
        (
            10 + np.concatenate((cost_G, np.full(len(left_K), lone_cost))),
            (np.concatenate((left_G, alone)), np.concatenate((right_G, len(right_K) + alone))),
        ),
        shape=(len(left_K), len(right_K) + len(left_K)),
    )
    if not len(left_K):
        return left_K, right_K
    row, column = min_weight_full_bipartite_matching(costs)
    is_pair = column < len(right_K)
    return left_K[row[is_pair]], right_K[column[is_pair]]
