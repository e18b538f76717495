"""What a video file is: its identity, its pictures, and when each frame is presented.

Array shape: T = frames in presentation order.
"""

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseact.errors import VideoError
from poseact.storage import to_path
from poseact.video.container import INDEX_BUFFER_BYTES, open_video, stream_time_base
from poseact.video.extent import extent, lost_at_start, pace_of, read_declared
from poseact.video.find import (
    absolute_path,
    camera_in_name,
    credible,
    file_that_is_not_utf8,
    shown,
    start_in_name,
)
from poseact.video.mp4_loss import Mp4Loss, mp4_loss
from poseact.video.packets import Packets, survey_packets
from poseact.video.rotation import (
    UPRIGHT,
    DisplayMatrix,
    clockwise_deg,
    display_matrix,
    swaps_sides,
)


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """One recording, as its container describes it."""

    uri: str
    """Absolute path."""
    video_id: str
    """Hash of path, size and modification time: a file that changes is another video."""
    codec: str
    width: int
    """Pixels, after rotation."""
    height: int
    """Pixels, after rotation."""
    rotation_deg: int
    """Clockwise turn that the container asks for; decoding applies it."""
    fps_nominal: float
    """Average frame rate; never used to tell the time of a frame."""
    is_vfr: bool
    """Whether frames last differently, beyond the rounding of their times."""
    time_base: Fraction
    """Seconds per tick of every pts."""
    start_pts: int
    """Presentation time of the first frame, ticks; ``start_utc`` is the clock at this moment."""
    duration_s: float
    """From the first frame to the end of the last, as declared where the file was cut off."""
    frames_expected: int
    """Frames that the container holds, or declares where the file was cut off."""
    start_utc: datetime | None
    """From the file name, else from the container's ``creation_time``."""
    camera_id: str | None
    """From the file name, else from the folder."""


@dataclass(frozen=True, kw_only=True)
class FrameTable:
    """When the frames of a file are presented, told by its packets."""

    pts_T: npt.NDArray[np.int64]
    """Presentation times, ticks, strictly increasing."""
    is_keyframe_T: npt.NDArray[np.bool_]
    """Frames at which decoding can start."""
    first_keyframe_pts: int
    """Where decoding of the first frame starts; before it if an edit list hides the keyframe."""


def probe(uri: str) -> VideoInfo:
    """Describe a recording: reads all of its packets, decodes one frame.

    Raises:
        VideoError: If the file is no video, or holds no frame.
    """
    return _scan(absolute_path(uri), video_id_of(uri))[0]


def frame_table(info: VideoInfo) -> FrameTable:
    """Return the presentation times of a probed recording.

    Raises:
        VideoError: If the file can no longer be read.
    """
    return _scan(info.uri, info.video_id)[1]


def video_id_of(uri: str) -> str:
    """Return the identity of a file, without opening it.

    Raises:
        VideoError: If it does not exist or cannot be looked at.
    """
    path = absolute_path(uri)
    try:
        status = to_path(path).stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if file_that_is_not_utf8(path):
            raise VideoError(
                f"{shown(path)}: the name is not UTF-8, which tables cannot hold; rename the file"
            ) from error
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise VideoError(f"{shown(path)}: cannot be opened ({reason})") from error
    identity = f"{path}\n{status.st_size}\n{status.st_mtime_ns}"
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]


@lru_cache(maxsize=1)  # a plan asks for the table right after the probe: read the file once
def _scan(uri: str, video_id: str) -> tuple[VideoInfo, FrameTable]:
    with open_video(uri) as (container, stream):
        loss = _mp4_loss(uri, stream) if "mov" in container.format.name else Mp4Loss()
        declared = read_declared(container, stream, loss)
        packets = survey_packets(container, stream, loss)
        table = _frame_table(packets)
        if table is None:
            raise VideoError(f"{shown(uri)}: {_why_no_frame(packets)}")
        time_base = stream_time_base(stream)
        pace = pace_of(table.pts_T, stream)
        duration_s, frames_expected = extent(table.pts_T, pace, packets, declared, time_base)
        frames_expected += lost_at_start(uri, container, stream, pace, packets)
        matrix, width, height = _picture(packets.first_frame, stream)
        info = VideoInfo(
            uri=uri,
            video_id=video_id,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rotation_deg=clockwise_deg(matrix),
            fps_nominal=pace.fps_nominal,
            is_vfr=pace.is_vfr,
            time_base=time_base,
            start_pts=int(table.pts_T[0]),
            duration_s=duration_s,
            frames_expected=frames_expected,
            start_utc=start_in_name(uri) or _creation_time(container),
            camera_id=camera_in_name(uri),
        )
    return info, table


def _mp4_loss(uri: str, stream: VideoStream) -> Mp4Loss:
    path = to_path(uri)
    size_bytes = path.stat().st_size
    with path.open("rb") as file, io.BufferedReader(file, INDEX_BUFFER_BYTES) as buffered:
        return mp4_loss(buffered, size_bytes, track_id=stream.id)


def _frame_table(packets: Packets) -> FrameTable | None:
    if packets.first_keyframe_pts is None:
        return None
    # of frames that claim the same time the first one counts
    pts_T, first_T = np.unique(np.array(packets.shown_pts, np.int64), return_index=True)
    is_keyframe_T = np.array(packets.is_keyframe, np.bool_)[first_T]
    # what comes before the first keyframe refers to pictures that were cut away
    start = int(np.searchsorted(pts_T, packets.first_keyframe_pts))
    if start == len(pts_T):
        return None
    return FrameTable(
        pts_T=pts_T[start:],
        is_keyframe_T=is_keyframe_T[start:],
        first_keyframe_pts=packets.first_keyframe_pts,
    )


def _why_no_frame(packets: Packets) -> str:
    if packets.num_untimed:
        return (
            f"its times are damaged: {packets.num_untimed} frames are more than ten years from "
            "time 0. Copy or record it again."
        )
    return "holds no frame that can be decoded; copy or record it again"


def _picture(frame: VideoFrame | None, stream: VideoStream) -> tuple[DisplayMatrix, int, int]:
    """Return the display matrix, and the width and height after rotation."""
    if frame is None:
        return UPRIGHT, stream.width, stream.height
    matrix = display_matrix(frame)
    if swaps_sides(matrix):
        return matrix, frame.height, frame.width
    return matrix, frame.width, frame.height


def _creation_time(container: InputContainer) -> datetime | None:
    try:
        moment = datetime.fromisoformat(container.metadata.get("creation_time", ""))
    except ValueError:  # absent, or in a form of the writer's own
        return None
    return credible(moment)
