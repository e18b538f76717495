"""Figures of tracking: who was followed, and for how long under one number.

Shape letters: N rows, one per frame and person.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from poseact.geometry import FloatArray, box_iou

LEAST_IOU: Final = 0.5
"""Intersection over union from which a found box is the true one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tracks:
    """Boxes of people through time, in any order."""

    frame_index_N: npt.NDArray[np.int64]
    track_N: npt.NDArray[np.integer]
    """Number of the person; no number twice in a frame."""

    boxes_N4: FloatArray
    """x0 y0 x1 y1, pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackFigures:
    """METRICS' figures of tracks; shares in [0, 1]."""

    num_true: int
    num_found: int
    idf1: float
    """Harmonic mean of the next two; NaN if there is neither a true nor a found box."""

    id_precision: float
    """Share of the found boxes that lie on the person whom their track stands for."""

    id_recall: float
    """Share of the true boxes on which the track lies that stands for the person."""

    switch_frames: tuple[int, ...]
    """Frame of each identity switch: a person goes on under another number than before."""

    fragments: int
    """How often a person is lost and found again."""

    switches_per_minute: float

    def as_json(self) -> dict[str, Any]:
        """Return plain values, shares rounded to four digits."""
        return {
            "num_true": self.num_true,
            "num_found": self.num_found,
            "idf1": round(self.idf1, 4),
            "id_precision": round(self.id_precision, 4),
            "id_recall": round(self.id_recall, 4),
            "switches": len(self.switch_frames),
            "switches_per_minute": round(self.switches_per_minute, 4),
            "fragments": self.fragments,
        }


def measure_tracks(true: Tracks, found: Tracks, *, duration_s: float) -> TrackFigures:
    """Compare found tracks with true ones.

    Args:
        true: Everybody who is to be found.
        found: Everybody who was found.
        duration_s: Length of the recording, above 0.

    Returns:
        The figures.

    Raises:
        ValueError: If ``duration_s`` is not above 0.

    Source:
        IDF1 by Ristani et al. (2016); switches and fragments as in the CLEAR MOT metrics of
        Bernardin and Stiefelhagen (2008): a match holds as long as the boxes overlap enough, and
        the others of a frame are matched for the largest total overlap.
    """
    if duration_s <= 0:
        raise ValueError(f"duration_s must be above 0, got {duration_s}")
    frames = list(_frames(true, found))
    num_right = _right_boxes(frames)
    num_true, num_found = len(true.track_N), len(found.track_N)
    switch_frames, fragments = _breaks(frames)
    return TrackFigures(
        num_true=len(np.unique(true.track_N)),
        num_found=len(np.unique(found.track_N)),
        idf1=_share(2 * num_right, num_true + num_found),
        id_precision=_share(num_right, num_found),
        id_recall=_share(num_right, num_true),
        switch_frames=tuple(switch_frames),
        fragments=fragments,
        switches_per_minute=60 * len(switch_frames) / duration_s,
    )


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Who is, and who was found, in one frame; overlaps too small to count are 0."""

    index: int
    true: list[int]
    found: list[int]
    iou: FloatArray


def _frames(true: Tracks, found: Tracks) -> Iterator[_Frame]:
    """Yield the frames in which there is anybody, in order."""
    indices = np.union1d(true.frame_index_N, found.frame_index_N)
    for index, of_true, of_found in zip(
        indices.tolist(), _rows(true, indices), _rows(found, indices), strict=True
    ):
        iou = box_iou(true.boxes_N4[of_true], found.boxes_N4[of_found])
        yield _Frame(
            index=index,
            true=true.track_N[of_true].tolist(),
            found=found.track_N[of_found].tolist(),
            iou=np.where(iou >= LEAST_IOU, iou, 0),
        )


def _rows(tracks: Tracks, indices: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    """Return the rows in each frame; by track, so that ties do not depend on the order of rows."""
    order = np.lexsort((tracks.track_N, tracks.frame_index_N))
    borders = np.searchsorted(tracks.frame_index_N[order], indices[1:])
    return np.split(order, borders) if len(indices) else []


def _right_boxes(frames: list[_Frame]) -> int:
    """Return how many boxes match under the best assignment of whole tracks to whole people."""
    together: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        for t, f in np.argwhere(frame.iou).tolist():
            together[frame.true[t], frame.found[f]] += 1
    rank_true = {track: i for i, track in enumerate({true for true, _ in together})}
    rank_found = {track: i for i, track in enumerate({found for _, found in together})}
    counts = np.zeros((len(rank_true), len(rank_found)))
    for (true, found), count in together.items():
        counts[rank_true[true], rank_found[found]] = count
    return int(counts[linear_sum_assignment(counts, maximize=True)].sum())


def _breaks(frames: list[_Frame]) -> tuple[list[int], int]:
    """Return the frame of each identity switch, and the number of fragments."""
    switch_frames: list[int] = []
    fragments = 0
    match: dict[int, int] = {}
    last_found: dict[int, int] = {}  # of each person ever matched
    last_seen_matched: dict[int, bool] = {}  # in the last frame with the person
    for frame in frames:
        match = _match(frame, match)
        for true in frame.true:
            found = match.get(true)
            if found is not None and true in last_found:
                if found != last_found[true]:
                    switch_frames.append(frame.index)
                fragments += not last_seen_matched[true]
            last_seen_matched[true] = found is not None
        last_found.update(match)
    return switch_frames, fragments


def _match(frame: _Frame, match_before: dict[int, int]) -> dict[int, int]:
    """Return the found track of each person matched, given those of the frame before."""
    score = frame.iou.copy()
    for t, true in enumerate(frame.true):
        for f, found in enumerate(frame.found):
            # more than all overlaps together: what matched before goes on matching
            if score[t, f] and match_before.get(true) == found:
                score[t, f] += sum(score.shape)
    pairs = zip(*linear_sum_assignment(score, maximize=True), strict=True)
    return {frame.true[t]: frame.found[f] for t, f in pairs if score[t, f]}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
