"""Second step of linking: put tracklets together over the gaps between them, all at once.

Shape letters: N rows, K tracklets, G pairs.
"""

from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from poseact.tracking.motion import RealArray, moments_of, shifted
from poseact.tracking.surprise import Ends, surprise
from poseact.tracking.tracklets import IndexArray

NONE: Final = -1

MAX_GAP_S: Final = 2.0
"""Longest time for which a person may be out of sight and stay the same."""

WINDOW_S: Final = 1.0
"""How much of a tracklet tells how it ends or starts; `MEMORY_S` makes the rest weigh nothing."""

LONE_COST: Final = 9.0
"""Cost of an end that goes on nowhere."""

ROUNDS: Final = 3
"""How often to put together; each time it is better known how those who are joined move."""

BLOCK: Final = 4096
"""Ends compared with starts at a time, which bounds memory."""


def stitch(tracklet_N: IndexArray, pts_s_N: RealArray, boxes_N4: RealArray) -> IndexArray:
    """Return for each tracklet the first one of the same person, (K,).

    Each end goes on as at most one of the starts after it, for the least total surprise over the
    whole recording.

    Args:
        tracklet_N: Tracklet of each row, (N,), 0 to K - 1, numbered by first row; N above 0.
        pts_s_N: Presentation time of each row, (N,), seconds, not decreasing.
        boxes_N4: x0 y0 x1 y1, (N, 4), pixels.

    Source:
        One assignment of all ends and starts as in Huang, Wu and Nevatia (2008).
    """
    order = np.argsort(tracklet_N, kind="stable")
    tracklet_N, pts_s_N, boxes_N4 = tracklet_N[order], pts_s_N[order], boxes_N4[order]
    _, first_K, count_K = np.unique(tracklet_N, return_index=True, return_counts=True)
    end_s_K, start_s_K = pts_s_N[first_K + count_K - 1], pts_s_N[first_K]
    end_K35 = _moments_at(end_s_K, tracklet_N, pts_s_N, boxes_N4)
    start_K35 = _moments_at(start_s_K, tracklet_N, pts_s_N, boxes_N4)

    next_K = np.full(len(first_K), NONE)
    for _ in range(ROUNDS):
        ends = Ends.fit(end_s_K, _with_before(end_K35, end_s_K, next_K))
        starts = Ends.fit(start_s_K, _with_next(start_K35, start_s_K, next_K))
        end, start = _cheapest(*_possible_pairs(ends, starts))
        next_K = np.full(len(first_K), NONE)
        next_K[end] = start

    origin_K = np.arange(len(first_K))
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


def _possible_pairs(ends: Ends, starts: Ends) -> tuple[IndexArray, IndexArray, RealArray]:
    """Return every end with every start after it that is neither too late nor too surprising.

    End, start and cost of each pair.
    """
    # tracklets are numbered by start
    first_K = np.searchsorted(starts.time_s_K, ends.time_s_K, side="right")
    after_K = np.searchsorted(starts.time_s_K, ends.time_s_K + MAX_GAP_S, side="right")
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
    return end_G, start_G, cost_G


def _cheapest(
    end_G: IndexArray, start_G: IndexArray, cost_G: RealArray
) -> tuple[IndexArray, IndexArray]:
    """Choose pairs, each end and each start in at most one, for the least total cost."""
    end_K, row_G = np.unique(end_G, return_inverse=True)
    start_K, column_G = np.unique(start_G, return_inverse=True)
    if not len(end_K):
        return end_K, start_K
    # Each end has a column of its own that stands for no start. A sparse matrix takes 0 for no
    # entry, hence the offset.
    alone = np.arange(len(end_K))
    costs = csr_array(
        (
            1 + np.concatenate((cost_G, np.full(len(end_K), LONE_COST))),
            (np.concatenate((row_G, alone)), np.concatenate((column_G, len(start_K) + alone))),
        ),
        shape=(len(end_K), len(start_K) + len(end_K)),
    )
    row, column = min_weight_full_bipartite_matching(costs)
    is_pair = column < len(start_K)
    return end_K[row[is_pair]], start_K[column[is_pair]]
