"""The first stage of the pipeline: from a planned chunk to its frames.

Shape letters as in ``stages``. This module knows no model, so that its processes are small, and
start quickly.
"""

import dataclasses
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.analysis.attempts import Attempt
from poseact.analysis.ledger import Receipt, Work
from poseact.errors import VideoError
from poseact.geometry import ImageArray
from poseact.video.chunks import Chunk
from poseact.video.decode import Decoder, DecodeReport

Batch: TypeAlias = dict[str, npt.NDArray[Any]]


def chunk_row(video_id: str, place: int) -> dict[str, str | int]:
    """Return the row that stands for a chunk at the head of the pipeline.

    Args:
        video_id: Of a video whose plan is in the work folder.
        place: Of the chunk in that plan.
    """
    return {"video_id": video_id, "place": place}


class Decode:
    """Decode the frames of a chunk.

    An actor, not a task: on several nodes Ray spreads tasks, and ends workers that had none for a
    second, so that most chunks waited for a new process.

    Reads:  what ``chunk_row`` gives
    Gives:  receipt str: JSON of the Receipt so far;
            frames (T, H, W, 3) uint8 RGB; frame_index (T,) int64; pts_s (T,) float64, seconds;
            run (T,) int64: which GOP run of the chunk
    Rows:   1 in, 1 out; a chunk that cannot be decoded has the error in its receipt, and T is the
            number of frames before it
    Holds:  the plans of a few videos and one open file; the pixels of one chunk during a call
    """

    def __init__(self, *, work: Work, frame_timeout_s: float) -> None:
        """Set up.

        Args:
            work: Where plans and attempts are.
            frame_timeout_s: Seconds that a frame may take.
        """
        self._work = work
        self._decoder = Decoder()
        self._frame_timeout_s = frame_timeout_s

    def __call__(self, batch: Batch) -> Batch:
        """Process one chunk."""
        started = time.perf_counter()
        video = self._work.require_plan(str(batch["video_id"][0]))
        chunk = video.chunks[int(batch["place"][0])]
        attempts = self._work.attempts
        with attempts.start(chunk.chunk_id, "decode", self._frame_timeout_s) as attempt:
            decoded = _decoded(chunk, video.info.time_base, self._decoder, attempt)
        spent_s = time.perf_counter() - started
        receipt = dataclasses.replace(decoded.receipt, decode_s=spent_s)
        return {
            "receipt": np.array([receipt.to_json()]),
            "frames": decoded.frames_THWC[None],
            "frame_index": np.array([decoded.frame_index], np.int64),
            "pts_s": np.array([decoded.pts_s], np.float64),
            "run": np.searchsorted(chunk.gop_run_pts, [decoded.pts], side="right"),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Decoded:
    receipt: Receipt
    frames_THWC: ImageArray
    frame_index: list[int]
    pts: list[int]
    pts_s: list[float]


def _decoded(chunk: Chunk, time_base: Fraction, decoder: Decoder, attempt: Attempt) -> _Decoded:
    """Decode what can be decoded."""
    frames_THWC = np.empty((chunk.num_frames, chunk.height, chunk.width, 3), np.uint8)
    frame_index: list[int] = []
    pts: list[int] = []
    pts_s: list[float] = []
    failure = attempt.poison.of_file(chunk.uri) if attempt.poison else {}
    last_good_s = failure.pop("last_good_pts_s", None)
    frames = decoder.decode(chunk)
    try:
        for frame in () if failure else frames:
            frames_THWC[len(pts_s)] = frame.rgb_HWC
            frame_index.append(frame.frame_index)
            pts.append(frame.pts)
            pts_s.append(frame.pts_s)
            attempt.reached(frame.pts_s)
            if frames.report.last_good_pts == frame.pts:
                last_good_s = frame.pts_s
    except VideoError as error:
        failure = {"error_kind": type(error).__name__, "error": str(error)}
    return _Decoded(
        receipt=Receipt(
            chunk_id=chunk.chunk_id,
            video_id=chunk.video_id,
            uri=chunk.uri,
            num_planned=chunk.num_frames,
            num_frames=len(pts_s),
            decode_errors=frames.report.num_errors,
            last_good_pts_s=last_good_s,
            first_lost_pts_s=_first_lost_s(chunk, time_base, frame_index, frames.report),
            **failure,
        ),
        frames_THWC=frames_THWC[: len(pts_s)],
        frame_index=frame_index,
        pts=pts,
        pts_s=pts_s,
    )


def _first_lost_s(
    chunk: Chunk, time_base: Fraction, frame_index: Sequence[int], report: DecodeReport
) -> float | None:
    """Return when the first frame is shown that did not come, or came damaged; None if all came."""
    found = {index - chunk.first_frame_index for index in frame_index}
    missing = {pts for place, pts in enumerate(chunk.frame_pts) if place not in found}
    lost = min(missing | report.damaged_pts, default=None)
    return None if lost is None else float(lost * time_base)
