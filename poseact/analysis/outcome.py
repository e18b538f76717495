"""What became of a video: its row of the ``videos`` table, and what the summary tells of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from poseact.analysis.ledger import PlannedVideo, Receipt
from poseact.analysis.plan import UnreadableVideo
from poseact.errors import VideoError
from poseact.video.find import shown

Status: TypeAlias = Literal["ok", "partial", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOutcome:
    """What became of one video in this run."""

    row: dict[str, Any]
    """Its row of the ``videos`` table."""

    num_people: int = 0

    segments: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Number of segments of each action that has any."""

    peaks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Highest score of each action that can make a segment; empty if nobody was seen."""

    finalize_s: float = 0.0
    """Seconds that its tables took."""


def video_row(video: PlannedVideo, receipts: Sequence[Receipt], run_id: str) -> dict[str, Any]:
    """Return the ``videos`` row of a video whose chunks are all done.

    Args:
        video: The video and its chunks.
        receipts: One for each chunk, in order of time.
        run_id: Of the run.

    Returns:
        Every column.
    """
    info = video.info
    num_frames = sum(receipt.num_frames for receipt in receipts)
    decode_errors = sum(receipt.decode_errors for receipt in receipts)
    good_s = [r.last_good_pts_s for r in receipts if r.last_good_pts_s is not None]
    errors = [receipt for receipt in receipts if receipt.error]
    passing = [receipt for receipt in errors if receipt.error_kind == VideoError.__name__]
    failed = next(iter(passing or errors), None)  # one that may pass is tried again
    is_whole = num_frames >= info.frames_expected and not decode_errors and failed is None
    status: Status = "ok" if is_whole else "partial" if num_frames else "failed"
    lost_s = [r.first_lost_pts_s for r in receipts if r.first_lost_pts_s is not None]
    end_s = max((r.last_good_pts_s for r in receipts if r.last_good_pts_s is not None), default=0.0)
    lost = (
        f"{shown(info.uri)}: {num_frames} of {info.frames_expected} frames could be analysed, "
        f"{decode_errors} decode errors, the first loss is at {min(lost_s, default=end_s):.3f} s. "
        "The recording is damaged or cut off."
    )
    return {
        "video_id": info.video_id,
        "uri": info.uri,
        "start_utc": info.start_utc,
        "duration_s": info.duration_s,
        "width": info.width,
        "height": info.height,
        "fps_nominal": info.fps_nominal,
        "is_vfr": info.is_vfr,
        "codec": info.codec,
        "frames_expected": info.frames_expected,
        "frames_analyzed": num_frames,
        "boxes_too_small": sum(receipt.num_too_small for receipt in receipts),
        "status": status,
        "error_kind": None if is_whole else failed.error_kind if failed else "FramesLost",
        "error": None if is_whole else failed.error if failed else lost,
        "last_good_pts_s": max(good_s, default=None),
        "decode_s": sum(receipt.decode_s for receipt in receipts),
        "watch_s": sum(r.detect_s + r.pose_s + r.commit_s for r in receipts),
        "run_id": run_id,
    }


def is_final(row: Mapping[str, Any]) -> bool:
    """Tell whether a ``videos`` row stands until the file changes.

    A video that could not be opened, or no longer in the middle, is tried again: it may be mended
    by now, and its disk or store may answer.
    """
    return row["codec"] is not None and row["error_kind"] != VideoError.__name__


def unreadable_row(video: UnreadableVideo, run_id: str) -> dict[str, Any]:
    """Return the ``videos`` row of a file of which nothing could be read."""
    return {
        **dataclasses.asdict(video),
        "codec": None,
        "frames_analyzed": 0,
        "boxes_too_small": 0,
        "status": "failed",
        "decode_s": 0.0,
        "watch_s": 0.0,
        "run_id": run_id,
    }
