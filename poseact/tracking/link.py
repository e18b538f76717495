"""Link people found in single frames into persons through time."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

BoxArray: TypeAlias = npt.NDArray[np.float32]
IdArray: TypeAlias = npt.NDArray[np.int32]


def link_people(
    frame_index_N: npt.NDArray[np.int64],
    pts_s_N: npt.NDArray[np.float64],
    boxes_N4: BoxArray,
    *,
    max_gap_s: float = 1.0,
    min_iou: float = 0.3,
) -> IdArray:
    """Give each person found the number of the track that they belong to.

    Frame by frame, people are assigned to the tracks still open so that the total overlap with
    each track's last box is largest; who overlaps no open track starts a new one.

    Args:
        frame_index_N: Frame of each person found, (N,), in any order.
        pts_s_N: Presentation time of that frame, (N,), seconds, increasing with the frame.
        boxes_N4: Boxes, (N, 4), x0 y0 x1 y1, frame pixels, finite.
        max_gap_s: A track unseen for longer is closed.
        min_iou: Least intersection over union of a box with its track's last one.

    Returns:
        Track of each row, (N,), int32: 0, 1, ... in order of appearance, from left to right
        within a frame. The order of the rows makes no difference.

    Raises:
        ValueError: If the shapes disagree or a box is not finite.
    """
    num_rows = len(frame_index_N)
    if pts_s_N.shape != (num_rows,) or boxes_N4.shape != (num_rows, 4):
        raise ValueError(
            f"need pts_s ({num_rows},) and boxes ({num_rows}, 4), "
            f"got {pts_s_N.shape} and {boxes_N4.shape}"
        )
    if not np.isfinite(boxes_N4).all():
        raise ValueError("boxes must be finite; leave frames with nobody out")

    track_ids_N = np.empty(num_rows, np.int32)
    # of the tracks still open, oldest first
    open_ids, open_boxes = np.empty(0, np.int32), np.empty((0, 4), boxes_N4.dtype)
    open_last_s, num_tracks = np.empty(0), 0
    for rows in _rows_by_frame(frame_index_N, boxes_N4):
        now_s = pts_s_N[rows[0]]
        fresh = now_s - open_last_s <= max_gap_s
        open_ids, open_boxes = open_ids[fresh], open_boxes[fresh]
        open_last_s = open_last_s[fresh]

        track, person = _match(open_boxes, boxes_N4[rows], min_iou)
        track_ids_N[rows[person]] = open_ids[track]
        open_boxes[track] = boxes_N4[rows[person]]
        open_last_s[track] = now_s

        new_rows = np.delete(rows, person)
        if len(new_rows):
            new_ids = np.arange(num_tracks, num_tracks + len(new_rows), dtype=np.int32)
            num_tracks += len(new_rows)
            track_ids_N[new_rows] = new_ids
            open_ids = np.concatenate((open_ids, new_ids))
            open_boxes = np.concatenate((open_boxes, boxes_N4[new_rows]))
            open_last_s = np.concatenate((open_last_s, np.full(len(new_rows), now_s)))
    return track_ids_N


def _rows_by_frame(
    frame_index_N: npt.NDArray[np.int64], boxes_N4: BoxArray
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of each frame, from left to right; a fixed order makes ties reproducible."""
    if not len(frame_index_N):
        return
    x0, y0, x1, y1 = boxes_N4.T
    order = np.lexsort((y1, x1, y0, x0, frame_index_N))
    borders = np.flatnonzero(np.diff(frame_index_N[order])) + 1
    yield from np.split(order, borders)


def _match(
    tracks_M4: BoxArray, people_P4: BoxArray, min_iou: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pair tracks with people for the largest total overlap; return the indices of both."""
    iou_MP = _iou(tracks_M4, people_P4)
    # an overlap too small to count must not pull a better pair apart
    iou_MP = np.where(iou_MP >= min_iou, iou_MP, 0)
    track, person = linear_sum_assignment(iou_MP, maximize=True)
    good = iou_MP[track, person] > 0
    return track[good], person[good]


def _iou(boxes_M4: BoxArray, boxes_P4: BoxArray) -> npt.NDArray[np.float64]:
    a, b = boxes_M4.astype(np.float64)[:, None], boxes_P4.astype(np.float64)[None]
    overlap_xy = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.maximum(overlap_xy, 0).prod(axis=-1)
    union = _area(a) + _area(b) - overlap
    iou_MP: npt.NDArray[np.float64] = np.divide(
        overlap, union, out=np.zeros_like(overlap), where=union > 0
    )
    return iou_MP


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    area: npt.NDArray[np.float64] = size.prod(axis=-1)
    return area
