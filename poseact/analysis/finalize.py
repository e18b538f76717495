"""From the parts of one video to its tables: the only place where state spans frames.

Shape letters: N rows (one per frame and person, one for a frame with nobody), T frames from the
first to the last of one person, J = 7 joints, A actions.
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poseact.analysis.ledger import PlannedVideo
from poseact.analysis.outcome import VideoOutcome, video_row
from poseact.analysis.people import People, list_column
from poseact.analysis.run import Run
from poseact.geometry import FloatArray
from poseact.models.features import raised_hand
from poseact.skeleton import NUM_JOINTS
from poseact.timeline.schema import timeline_schema
from poseact.timeline.segments import (
    Segment,
    segment_row,
    segments_from_scores,
    smooth_scores,
)
from poseact.timeline.tables import write_segments, write_timeline, write_video_row
from poseact.tracking.flips import repair_flips
from poseact.tracking.link import IdArray, link_people
from poseact.tracking.rows import rows_of_tracks
from poseact.tracking.smooth import smooth_joints

NOBODY: Final = -1
"""Track of a row that stands for a frame with nobody; null in the table."""

UNKNOWN_CAMERA: Final = "unknown"
"""Folder of recordings whose camera is not known; reads back as null, like an unknown date."""

HANDED_ACTION: Final = "hello"
"""The action that one hand or both can do, so that its segments say which."""

NO_ACTION: Final = ("other",)
"""Classes that never make a segment."""


class ActionModel(Protocol):
    """What is needed of an action classifier."""

    def predict(self, joints_BJK: FloatArray) -> FloatArray:
        """Return probabilities (B, A)."""


def finalize(video: PlannedVideo, run: Run, action: ActionModel) -> VideoOutcome:
    """Write the tables of a video whose chunks are all done, and forget its chunks.

    The ``videos`` row goes last: a video that has one is finished.

    Args:
        video: The video and its chunks.
        run: The run.
        action: Scores what people do.

    Returns:
        What became of the video.

    Raises:
        OutputError: If a table cannot be written.
    """
    started = time.perf_counter()
    work = run.work
    receipts = [work.load_receipt(chunk.chunk_id) for chunk in video.chunks]
    tables = [work.read_part(receipt.chunk_id) for receipt in receipts if receipt.num_frames]
    tracks = follow(People.from_tables(tables), action, run.min_detection_score)
    segments = list(find_segments(tracks, run))

    _write_tables(tracks, segments, video, run)
    row = video_row(video, receipts, run.run_id)
    write_video_row(run.out, row)
    work.forget(video)
    return VideoOutcome(
        row=row,
        num_people=tracks.num_tracks,
        segments=Counter(segment.action for _, segment in segments),
        peaks=_peaks(tracks, run.actions),
        finalize_s=time.perf_counter() - started,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tracks:
    """The people of a video through time."""

    people: People

    track_N: IdArray
    """Track of each row; ``NOBODY`` where there is no person."""

    scores_NA: FloatArray
    """Probability of each action, smoothed over time; NaN where there is no person."""

    @property
    def num_tracks(self) -> int:
        """Count the tracks, which are numbered from 0."""
        return int(self.track_N.max(initial=NOBODY)) + 1


def follow(people: People, action: ActionModel, min_detection_score: float | None) -> Tracks:
    """Turn the people of single frames into persons: who is who, how they move, what they do.

    Args:
        people: The people of a video, also those of whom no frame is sure.
        action: Scores what they do.
        min_detection_score: Score that a person must reach in one frame at least; None believes
            in everybody.
    """
    people, ids_N = _link_believed(people, min_detection_score)
    is_person_N = people.is_person_N
    pts_s_N = people.pts_s_N[is_person_N]
    joints_NJ3 = repair_flips(people.joints_NJ3[is_person_N], pts_s_N, ids_N)
    joints_NJ3 = smooth_joints(joints_NJ3, pts_s_N, ids_N)
    scores_NA = _smoothed_scores(ids_N, pts_s_N, action.predict(joints_NJ3))
    return Tracks(
        people=dataclasses.replace(people, joints_NJ3=_spread(joints_NJ3, is_person_N, np.nan)),
        track_N=_spread(ids_N, is_person_N, NOBODY),
        scores_NA=_spread(scores_NA, is_person_N, np.nan),
    )


def _link_believed(people: People, min_detection_score: float | None) -> tuple[People, IdArray]:
    """Return the people whose track is sure once, and their tracks, for each row with a person."""
    is_person_N = people.is_person_N
    ids_P = link_people(
        people.frame_index_N[is_person_N],
        people.pts_s_N[is_person_N],
        people.boxes_N4[is_person_N],
        people.joints_NJ3[is_person_N],
    )
    if min_detection_score is None:
        return people, ids_P
    sure_ids = np.unique(ids_P[people.detection_score_N[is_person_N] >= min_detection_score])
    is_sure_P = np.isin(ids_P, sure_ids)
    believed = people.without(_spread(~is_sure_P, is_person_N, False))
    return believed, np.searchsorted(sure_ids, ids_P[is_sure_P]).astype(np.int32)


def find_segments(tracks: Tracks, run: Run) -> Iterator[tuple[int, Segment]]:
    """Yield track and segment of whatever is worth a look.

    Args:
        tracks: The people of a video.
        run: The run.
    """
    people = tracks.people
    frame_T, first_row_T = np.unique(people.frame_index_N, return_index=True)
    pts_s_T = people.pts_s_N[first_row_T]
    for rows in rows_of_tracks(tracks.track_N, people.pts_s_N):
        track = int(tracks.track_N[rows[0]])
        if track == NOBODY:
            continue
        rank = np.searchsorted(frame_T, people.frame_index_N[rows])
        # one frame more than the person has: in it they are gone, which ends what they did
        span = slice(rank[0], rank[-1] + 2)
        scores_TA = np.full((len(frame_T[span]), len(run.actions)), np.nan, np.float32)
        scores_TA[rank - rank[0]] = tracks.scores_NA[rows]
        for segment in segments_from_scores(
            scores_TA,
            pts_s_T[span],
            run.actions,
            run.rules,
            frame_index_T=frame_T[span],
            ignore=NO_ACTION,
        ):
            yield track, segment


def hand_of(segment: Segment, track: int, tracks: Tracks) -> str | None:
    """Return the hand or hands that the person holds up in most frames of a segment."""
    if segment.action != HANDED_ACTION:
        return None
    frame_N = tracks.people.frame_index_N
    is_inside_N = (frame_N >= segment.start_frame) & (frame_N < segment.end_frame)
    hands = raised_hand(tracks.people.joints_NJ3[is_inside_N & (tracks.track_N == track)])
    seen = Counter(hand for hand in hands if hand is not None)
    return seen.most_common(1)[0][0] if seen else None


def _smoothed_scores(
    ids_N: IdArray, pts_s_N: npt.NDArray[np.float64], scores_NA: FloatArray
) -> FloatArray:
    smoothed_NA = scores_NA.copy()
    for rows in rows_of_tracks(ids_N, pts_s_N):
        smoothed_NA[rows] = smooth_scores(scores_NA[rows], pts_s_N[rows])
    return smoothed_NA


def _spread(
    values_P: npt.NDArray[Any], is_person_N: npt.NDArray[np.bool_], missing: float | bool
) -> npt.NDArray[Any]:
    """Give the rows of frames with nobody a value that says so."""
    values_N = np.full((len(is_person_N), *values_P.shape[1:]), missing, values_P.dtype)
    values_N[is_person_N] = values_P
    return values_N


def _write_tables(
    tracks: Tracks,
    segments: Sequence[tuple[int, Segment]],
    video: PlannedVideo,
    run: Run,
) -> None:
    info = video.info
    camera_id = info.camera_id or UNKNOWN_CAMERA
    zero_utc = _clock_at_zero(video)
    rows = [
        segment_row(
            segment,
            video_id=info.video_id,
            track_id=track,
            hand=hand_of(segment, track, tracks),
            start_utc=zero_utc,
            rules=run.rules,
            config_hash=run.config_hash,
            model_id=run.model_id,
        )
        for track, segment in segments
    ]
    write_timeline(
        run.out,
        _timeline(tracks, info.video_id, zero_utc, run),
        video_id=info.video_id,
        camera_id=camera_id,
        start_utc=info.start_utc,
    )
    write_segments(
        run.out, rows, video_id=info.video_id, camera_id=camera_id, start_utc=info.start_utc
    )


def _timeline(
    tracks: Tracks,
    video_id: str,
    zero_utc: datetime | None,
    run: Run,
) -> pa.Table:
    people, scores_NA = tracks.people, tracks.scores_NA
    is_person_N = people.is_person_N
    best_N = np.nan_to_num(scores_NA, nan=-1).argmax(axis=1)
    names_N = np.where(is_person_N, np.array(run.actions, np.object_)[best_N], "")
    num_rows = len(best_N)
    columns = {
        "video_id": pa.repeat(video_id, num_rows),
        "frame_index": people.frame_index_N,
        "pts_s": people.pts_s_N,
        "time_utc": _times_utc(people.pts_s_N, zero_utc),
        "track_id": pa.array(tracks.track_N, mask=~is_person_N),
        "bbox_xyxy_px": list_column(people.boxes_N4),
        "detection_score": people.detection_score_N,
        "joints": list_column(people.joints_NJ3.reshape(-1, 3 * NUM_JOINTS)),
        "action": pa.array(names_N, pa.string()),
        "score": scores_NA[np.arange(num_rows), best_N],
        "scores": list_column(scores_NA),
        "config_hash": pa.repeat(run.config_hash, num_rows),
        "model_id": pa.repeat(run.model_id, num_rows),
    }
    return pa.table(columns, schema=timeline_schema(run.actions))


def _clock_at_zero(video: PlannedVideo) -> datetime | None:
    """Return the clock at presentation time 0, which need not be the first frame's."""
    info = video.info
    if info.start_utc is None:
        return None
    return info.start_utc - timedelta(seconds=float(info.start_pts * info.time_base))


def _times_utc(pts_s_N: npt.NDArray[np.float64], zero_utc: datetime | None) -> pa.Array:
    kind = pa.timestamp("us", tz="UTC")
    if zero_utc is None:
        return pa.nulls(len(pts_s_N), kind)
    zero_us = pa.scalar(zero_utc, kind).value
    return pa.array(zero_us + np.round(pts_s_N * 1e6).astype(np.int64), kind)


def _peaks(tracks: Tracks, actions: Sequence[str]) -> dict[str, float]:
    scores_NA = tracks.scores_NA[tracks.people.is_person_N]
    if not len(scores_NA):
        return {}
    peaks = dict(zip(actions, scores_NA.max(axis=0).tolist(), strict=True))
    return {action: peak for action, peak in peaks.items() if action not in NO_ACTION}
