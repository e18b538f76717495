"""Link people found in single frames into persons through time.

Shape letters: N rows (people found), J joints.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.tracking.motion import RealArray
from poseact.tracking.stitch import stitch
from poseact.tracking.tracklets import find_tracklets

IdArray: TypeAlias = npt.NDArray[np.int32]


def link_people(
    frame_index_N: npt.NDArray[np.int64],
    pts_s_N: npt.NDArray[np.float64],
    boxes_N4: npt.NDArray[np.floating],
    joints_NJ3: npt.NDArray[np.floating],
) -> IdArray:
    """Give each person found in a recording the number of the track that they belong to.

    First, frame by frame, stretches in which there is no doubt who is who; then these are joined
    over the gaps between them, of up to ``MAX_GAP_S``, for the least surprise over the whole
    recording. Everybody gets a track, also who is seen in one frame only: what is too short to
    matter is for the rules of the timeline to say.

    Args:
        frame_index_N: Frame of each person found, (N,), in any order.
        pts_s_N: Presentation time of that frame, (N,), seconds, increasing with the frame.
        boxes_N4: Boxes, (N, 4), x0 y0 x1 y1, frame pixels, finite.
        joints_NJ3: x, y in frame pixels and confidence in [0, 1], (N, J, 3), J at least 1; NaN
            for a joint that is not seen.

    Returns:
        Track of each row, (N,), int32: 0, 1, ... in order of appearance, from left to right
        within a frame. The order of the rows makes no difference.

    Raises:
        ValueError: If the shapes disagree or a box is not finite.
    """
    _check(frame_index_N, pts_s_N, boxes_N4, joints_NJ3)
    if not len(frame_index_N):
        return np.empty(0, np.int32)
    # Left to right within a frame: a fixed order makes ties reproducible.
    keys = np.concatenate((boxes_N4, joints_NJ3.reshape(len(boxes_N4), -1)), axis=1)
    order = np.lexsort((*keys.T[::-1], frame_index_N))
    times_s_N = pts_s_N[order].astype(np.float64)
    corners_N4 = boxes_N4[order].astype(np.float64)

    tracklet_N = find_tracklets(
        _frames(frame_index_N[order]), times_s_N, corners_N4, _without_nan(joints_NJ3[order])
    )
    origin_N = stitch(tracklet_N, times_s_N, corners_N4)[tracklet_N]
    track_N = np.empty(len(order), np.int32)
    # tracklets are numbered by first row, and so are their origins
    track_N[order] = np.unique(origin_N, return_inverse=True)[1]
    return track_N


def _check(
    frame_index_N: npt.NDArray[np.int64],
    pts_s_N: npt.NDArray[np.float64],
    boxes_N4: npt.NDArray[np.floating],
    joints_NJ3: npt.NDArray[np.floating],
) -> None:
    num_rows = len(frame_index_N)
    is_right = (
        pts_s_N.shape == (num_rows,)
        and boxes_N4.shape == (num_rows, 4)
        and joints_NJ3.ndim == 3  # noqa: PLR2004 - rows, joints, x y confidence
        and joints_NJ3.shape[::2] == (num_rows, 3)
    )
    if not is_right:
        raise ValueError(
            f"need pts_s ({num_rows},), boxes ({num_rows}, 4) and joints ({num_rows}, J, 3), "
            f"got {pts_s_N.shape}, {boxes_N4.shape} and {joints_NJ3.shape}"
        )
    if not np.isfinite(boxes_N4).all():
        raise ValueError("boxes must be finite; leave frames with nobody out")


def _frames(frame_index_N: npt.NDArray[np.int64]) -> list[slice]:
    """Return the rows of each frame."""
    borders = (np.flatnonzero(np.diff(frame_index_N)) + 1).tolist()
    return [
        slice(first, after)
        for first, after in zip([0, *borders], [*borders, len(frame_index_N)], strict=True)
    ]


def _without_nan(joints_NJ3: npt.NDArray[np.floating]) -> RealArray:
    is_seen_NJ = np.isfinite(joints_NJ3).all(axis=2)
    return np.where(is_seen_NJ[..., None], joints_NJ3, 0).astype(np.float64)
