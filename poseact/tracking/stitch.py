"""Second step of linking: put tracklets together over the gaps between them, all at once.

Shape letters: N rows, K tracklets, G pairs.
"""

import dataclasses
from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from poseact.tracking.motion import RealArray, moments_of, shifted
from poseact.tracking.surprise import Ends, surprise
from poseact.tracking.tracklets import FlagArray, IndexArray, Tracklets

NONE: Final = -1

WINDOW_S: Final = 1.0
"""How much of a tracklet tells how it ends or starts; `MEMORY_S` makes the rest weigh nothing."""

LONE_COST: Final = 9.0
"""Cost of an end that goes on nowhere."""

FAR: Final = 0.5
"""Mean squared distance, in sizes, from where a person should be beyond which they are not."""

ROUNDS: Final = 3
"""How often to put together; each time it is better known how those who are joined move."""

BLOCK: Final = 4096
"""Ends compared with starts at a time, which bounds memory."""


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """Ends and the starts that could go on from them, by end, then start."""

    end_G: IndexArray
    start_G: IndexArray
    cost_G: RealArray


def stitch(
    tracklets: Tracklets, pts_s_N: RealArray, boxes_N4: RealArray, max_gap_s: float
) -> IndexArray:
    """Return for each tracklet the first one of the same person, (K,).

    First the tracklets in which people were in plain view, for the least total cost; then those
    in which one covered another go where somebody is missing, closest to the way that person must
    have taken; then whatever is left.

    Args:
        tracklets: Of the whole recording.
        pts_s_N: Presentation time of each row, seconds, not decreasing.
        boxes_N4: x0 y0 x1 y1, pixels.
        max_gap_s: Longest gap to bridge.

    Source:
        Association in levels after Huang, Wu and Nevatia (2008).
    """
    num_tracklets = len(tracklets.is_covered_K)
    next_K = np.full(num_tracklets, NONE)
    if not num_tracklets:
        return next_K
    order = np.argsort(tracklets.tracklet_N, kind="stable")
    tracklet_N, pts_s_N, boxes_N4 = tracklets.tracklet_N[order], pts_s_N[order], boxes_N4[order]
    first_K = np.searchsorted(tracklet_N, np.arange(num_tracklets))
    last_K = np.append(first_K[1:], len(tracklet_N)) - 1
    end_s_K, start_s_K = pts_s_N[last_K], pts_s_N[first_K]
    end_K35 = _moments_at(end_s_K, tracklet_N, pts_s_N, boxes_N4)
    start_K35 = _moments_at(start_s_K, tracklet_N, pts_s_N, boxes_N4)

    for _ in range(ROUNDS):
        ends = Ends.fit(end_s_K, end_K35, _with_before(end_K35, end_s_K, next_K))
        starts = Ends.fit(start_s_K, start_K35, _with_next(start_K35, start_s_K, next_K))
        pairs = _possible_pairs(ends, starts, max_gap_s)
        next_K = np.full(num_tracklets, NONE)
        _join(next_K, pairs, ~tracklets.is_covered_K)
        while _insert(next_K, pairs, ends, starts, tracklets.is_covered_K):
            pass
        _join(next_K, pairs, np.ones(num_tracklets, np.bool_))

    origin_K = np.arange(num_tracklets)
    for before, following in enumerate(next_K.tolist()):
        # what goes on has the higher number, so the origin of `before` is known by now
        if following != NONE:
            origin_K[following] = origin_K[before]
    return origin_K


def _moments_at(
    time_s_K: RealArray, tracklet_N: IndexArray, pts_s_N: RealArray, boxes_N4: RealArray
) -> RealArray:
    """Return the moments of the boxes of each tracklet, rows sorted by it, counted from a time."""
    away_s_N = pts_s_N - time_s_K[tracklet_N]
    near = np.flatnonzero(np.abs(away_s_N) <= WINDOW_S)
    first_K = np.searchsorted(tracklet_N[near], np.arange(len(time_s_K)))
    return np.add.reduceat(moments_of(boxes_N4[near], away_s_N[near]), first_K, axis=0)


def _with_before(end_K35: RealArray, end_s_K: RealArray, next_K: IndexArray) -> RealArray:
    """Add to each end what came before the tracklet."""
    moments_K35 = end_K35.copy()
    for k in np.flatnonzero(next_K != NONE).tolist():
        following = next_K[k]
        moments_K35[following] += shifted(moments_K35[k], end_s_K[following] - end_s_K[k])
    return moments_K35


def _with_next(start_K35: RealArray, start_s_K: RealArray, next_K: IndexArray) -> RealArray:
    """Add to each start what comes after the tracklet."""
    moments_K35 = start_K35.copy()
    for k in np.flatnonzero(next_K != NONE)[::-1].tolist():
        following = next_K[k]
        moments_K35[k] += shifted(moments_K35[following], start_s_K[k] - start_s_K[following])
    return moments_K35


def _possible_pairs(ends: Ends, starts: Ends, max_gap_s: float) -> _Pairs:
    """Return every end with every start after it that is neither too late nor too surprising."""
    # tracklets are numbered by start
    first_K = np.searchsorted(starts.time_s_K, ends.time_s_K, side="right")
    after_K = np.searchsorted(starts.time_s_K, ends.time_s_K + max_gap_s, side="right")
    blocks = []
    for low in range(0, len(first_K), BLOCK):
        first_B, count_B = first_K[low : low + BLOCK], (after_K - first_K)[low : low + BLOCK]
        end_G = np.repeat(np.arange(len(count_B)), count_B)
        rank_G = np.arange(len(end_G)) - (np.cumsum(count_B) - count_B)[end_G]
        start_G = first_B[end_G] + rank_G
        end_G += low
        cost_G = surprise(ends, end_G, starts, start_G)
        good = np.flatnonzero(cost_G < LONE_COST)
        blocks.append((end_G[good], start_G[good], cost_G[good]))
    end_G, start_G, cost_G = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return _Pairs(end_G, start_G, cost_G)


def _join(next_K: IndexArray, pairs: _Pairs, is_open_K: FlagArray) -> None:
    """Let open ends that go on nowhere go on as open starts, for the least total cost."""
    is_start_K = is_open_K.copy()
    is_start_K[next_K[next_K != NONE]] = False
    is_end_K = is_open_K & (next_K == NONE)
    good = np.flatnonzero(is_end_K[pairs.end_G] & is_start_K[pairs.start_G])
    end, start = _cheapest(pairs.end_G[good], pairs.start_G[good], pairs.cost_G[good], LONE_COST)
    next_K[end] = start


def _insert(
    next_K: IndexArray, pairs: _Pairs, ends: Ends, starts: Ends, is_covered_K: FlagArray
) -> bool:
    """Put covered tracklets into gaps, at most one into each; tell whether there were any."""
    is_lone_K = is_covered_K & (next_K == NONE)
    is_lone_K[next_K[next_K != NONE]] = False
    good = np.flatnonzero((next_K[pairs.end_G] != NONE) & is_lone_K[pairs.start_G])
    good = good[ends.time_s_K[pairs.start_G[good]] < starts.time_s_K[next_K[pairs.end_G[good]]]]
    before_G, lone_G = pairs.end_G[good], pairs.start_G[good]
    way_G = _off_the_way(before_G, lone_G, next_K[before_G], ends, starts)
    is_near_G = way_G < FAR
    before, lone = _cheapest(before_G[is_near_G], lone_G[is_near_G], way_G[is_near_G], FAR)
    next_K[lone] = next_K[before]
    next_K[before] = lone
    return len(lone) > 0


def _off_the_way(
    before_G: IndexArray, lone_G: IndexArray, next_G: IndexArray, ends: Ends, starts: Ends
) -> RealArray:
    """Return how far tracklets lie from the straight way between two others.

    Mean square over the corners of the box at start and end, in sizes squared.
    """
    left_s_G, back_s_G = ends.time_s_K[before_G], starts.time_s_K[next_G]
    off_G = np.zeros(len(lone_G))
    for lone in (starts, ends):
        share_G1 = ((lone.time_s_K[lone_G] - left_s_G) / (back_s_G - left_s_G))[:, None]
        way_G4 = ends.boxes_K4[before_G] * (1 - share_G1) + starts.boxes_K4[next_G] * share_G1
        off_G4 = (lone.boxes_K4[lone_G] - way_G4) / np.exp(lone.log_size_K[lone_G])[:, None]
        off_G += np.square(off_G4).mean(axis=1) / 2
    return off_G


def _cheapest(
    left_G: IndexArray, right_G: IndexArray, cost_G: RealArray, lone_cost: float
) -> tuple[IndexArray, IndexArray]:
    """Choose pairs, each side in at most one, for the least total cost.

    A left side in none costs ``lone_cost``.
    """
    left_K, row_G = np.unique(left_G, return_inverse=True)
    right_K, column_G = np.unique(right_G, return_inverse=True)
    if not len(left_K):
        return left_K, right_K
    # Each left side has a column of its own that stands for no pair. A sparse matrix takes 0 for
    # no entry, hence the offset.
    alone = np.arange(len(left_K))
    costs = csr_array(
        (
            1 + np.concatenate((cost_G, np.full(len(left_K), lone_cost))),
            (np.concatenate((row_G, alone)), np.concatenate((column_G, len(right_K) + alone))),
        ),
        shape=(len(left_K), len(right_K) + len(left_K)),
    )
    row, column = min_weight_full_bipartite_matching(costs)
    is_pair = column < len(right_K)
    return left_K[row[is_pair]], right_K[column[is_pair]]
