"""The tables of one video: written by ``finalize``, taken up and written anew by ``rescore``.

Shape letters: N rows (one per frame and person, one for a frame with nobody), J = 7 joints.
"""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poseact.analysis.actions import Findings, hand_of
from poseact.analysis.people import list_column
from poseact.analysis.run import Run
from poseact.skeleton import NUM_JOINTS
from poseact.timeline.decide import decide
from poseact.timeline.schema import timeline_schema
from poseact.timeline.segments import segment_row
from poseact.timeline.tables import write_segments, write_timeline
from poseact.video.probe import VideoInfo

UNKNOWN_CAMERA: Final = "unknown"
"""Folder of recordings whose camera is not known; reads back as null, like an unknown date."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Footage:
    """Which video the rows of its tables are of, and what time it was."""

    video_id: str

    camera_id: str
    """``UNKNOWN_CAMERA`` if not known."""

    start_utc: datetime | None
    """Clock at the first frame; None if unknown."""

    zero_utc: datetime | None
    """Clock at presentation time 0, which need not be the first frame's."""

    @staticmethod
    def from_info(info: VideoInfo) -> "Footage":
        """Take what the container says."""
        since_zero = timedelta(seconds=float(info.start_pts * info.time_base))
        return Footage(
            video_id=info.video_id,
            camera_id=info.camera_id or UNKNOWN_CAMERA,
            start_utc=info.start_utc,
            zero_utc=info.start_utc and info.start_utc - since_zero,
        )


def write_tables(findings: Findings, footage: Footage, run: Run) -> None:
    """Write segments, then timeline of one video; OutputError if they cannot be written.

    The timeline goes last: one that has the hash of a run has segments that have it, too.
    """
    rows = [
        segment_row(
            segment,
            video_id=footage.video_id,
            track_id=track,
            hand=hand_of(segment, track, findings.tracks),
            start_utc=footage.zero_utc,
            rules=run.rules,
            config_hash=run.config_hash,
            model_id=run.model_id,
        )
        for track, segment in findings.segments
    ]
    write_segments(
        run.out,
        rows,
        video_id=footage.video_id,
        camera_id=footage.camera_id,
        start_utc=footage.start_utc,
    )
    write_timeline(
        run.out,
        _timeline(findings, footage, run),
        video_id=footage.video_id,
        camera_id=footage.camera_id,
        start_utc=footage.start_utc,
    )


def zero_utc(table: pa.Table) -> datetime | None:
    """Return the clock at presentation time 0 that the rows of a timeline tell; None if none do.

    Args:
        table: ``pts_s`` and ``time_utc`` of the rows of one video.
    """
    if not len(table) or table["time_utc"].null_count:
        return None
    zero_us = table["time_utc"][0].value - _microseconds(table["pts_s"].to_numpy()[:1])[0]
    return _EPOCH + timedelta(microseconds=int(zero_us))


def _timeline(findings: Findings, footage: Footage, run: Run) -> pa.Table:
    people, scores_NA = findings.tracks.people, findings.scores_NA
    decisions = decide(scores_NA, findings.is_clear_N, run.actions, min_score=run.rules.min_score)
    num_rows = len(scores_NA)
    columns = {
        "video_id": pa.repeat(footage.video_id, num_rows),
        "frame_index": people.frame_index_N,
        "pts_s": people.pts_s_N,
        "time_utc": _times_utc(people.pts_s_N, footage.zero_utc),
        "track_id": pa.array(findings.tracks.track_N, mask=~people.is_person_N),
        "bbox_xyxy_px": list_column(people.boxes_N4),
        "detection_score": people.detection_score_N,
        "joints": list_column(people.joints_NJ3.reshape(-1, 3 * NUM_JOINTS)),
        "action": pa.array(decisions.action_N, pa.string()),
        "score": decisions.score_N,
        "scores": list_column(scores_NA),
        "config_hash": pa.repeat(run.config_hash, num_rows),
        "model_id": pa.repeat(run.model_id, num_rows),
        "reason": pa.array(decisions.reason_N, pa.string()),
    }
    return pa.table(columns, schema=timeline_schema(run.actions))


def _times_utc(pts_s_N: npt.NDArray[np.float64], zero_utc: datetime | None) -> pa.Array:
    kind = pa.timestamp("us", tz="UTC")
    if zero_utc is None:
        return pa.nulls(len(pts_s_N), kind)
    return pa.array(pa.scalar(zero_utc, kind).value + _microseconds(pts_s_N), kind)


def _microseconds(pts_s_N: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.round(pts_s_N * 1e6).astype(np.int64)
