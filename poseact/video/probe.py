"""What a video file is: its identity, its pictures, and when each frame is presented.

Array shape: T = frames in presentation order.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseact.errors import VideoError
from poseact.video.container import (
    VideoPacket,
    open_video,
    packet_pts,
    readable,
    stream_time_base,
)
from poseact.video.find import absolute_path, camera_in_name, start_in_name
from poseact.video.rotation import (
    UPRIGHT,
    DisplayMatrix,
    clockwise_deg,
    display_matrix,
    swaps_sides,
)

_FIRST_FRAME_PACKETS = 300
"""Packets to try for the frame that tells the rotation: a damaged file is not decoded twice."""

_MISSING_END_S = 1.0
"""A declared end this much after the last packet means that the file was cut off; less is rounding
or the habit of the writer."""

_MATROSKA_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


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
        status = Path(path).stat()
    except OSError as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror})") from error
    identity = f"{path}\n{status.st_size}\n{status.st_mtime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)  # a plan asks for the table right after the probe: read the file once
def _scan(uri: str, video_id: str) -> tuple[VideoInfo, FrameTable]:
    with open_video(uri) as (container, stream):
        declared = _declared_extent(container, stream)
        packets = _read_packets(container, stream)
        table = _frame_table(packets)
        if table is None:
            raise VideoError(f"{uri}: holds no frame that can be decoded; copy or record it again")
        ticks_T = np.diff(table.pts_T)
        duration_s, frames_expected = _extent(table, packets, declared, stream)
        matrix, width, height = _picture(packets.first_frame, stream)
        info = VideoInfo(
            uri=uri,
            video_id=video_id,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rotation_deg=clockwise_deg(matrix),
            fps_nominal=_nominal_fps(ticks_T, stream),
            is_vfr=_is_variable(ticks_T),
            time_base=stream_time_base(stream),
            start_pts=int(table.pts_T[0]),
            duration_s=duration_s,
            frames_expected=frames_expected,
            start_utc=start_in_name(uri) or _creation_time(container),
            camera_id=camera_in_name(uri),
        )
    return info, table


@dataclass
class _Packets:
    """What the packets of a stream tell."""

    shown: dict[int, bool] = field(default_factory=dict)
    """Whether it is a keyframe, by pts, for each frame that is shown."""
    keyframe_pts: list[int] = field(default_factory=list)
    end_pts: int = -(1 << 63)
    num_packets: int = 0
    first_frame: VideoFrame | None = None


def _read_packets(container: InputContainer, stream: VideoStream) -> _Packets:
    packets = _Packets()
    for packet in readable(container.demux(stream)):
        if packets.first_frame is None and packets.num_packets < _FIRST_FRAME_PACKETS:
            packets.first_frame = _first_frame(packet)
        if packet.size == 0:  # asks the decoder for the frames that it still holds
            continue
        packets.num_packets += 1
        pts = packet_pts(packet)
        if pts is None:
            continue
        if packet.is_keyframe:
            packets.keyframe_pts.append(pts)
        if not packet.is_discard:  # so an edit list marks what is decoded but not shown
            packets.shown.setdefault(pts, packet.is_keyframe)
            packets.end_pts = max(packets.end_pts, pts + (packet.duration or 0))
    return packets


def _first_frame(packet: VideoPacket) -> VideoFrame | None:
    try:
        frames = packet.decode()
    except av.FFmpegError:  # decoding proper counts this error, and goes on as we do
        return None
    return frames[0] if frames else None


def _frame_table(packets: _Packets) -> FrameTable | None:
    first_keyframe_pts = min(packets.keyframe_pts, default=0)
    # what comes before the first keyframe refers to pictures that were cut away
    times = [pts for pts in sorted(packets.shown) if pts >= first_keyframe_pts]
    if not (packets.keyframe_pts and times):
        return None
    return FrameTable(
        pts_T=np.array(times, np.int64),
        is_keyframe_T=np.array([packets.shown[pts] for pts in times], np.bool_),
        first_keyframe_pts=first_keyframe_pts,
    )


def _picture(frame: VideoFrame | None, stream: VideoStream) -> tuple[DisplayMatrix, int, int]:
    """Return the display matrix, and the width and height after rotation."""
    if frame is None:
        return UPRIGHT, stream.width, stream.height
    matrix = display_matrix(frame)
    if swaps_sides(matrix):
        return matrix, frame.height, frame.width
    return matrix, frame.width, frame.height


def _declared_extent(container: InputContainer, stream: VideoStream) -> tuple[int, float]:
    """Return the packets and the seconds that the header promises; 0 where it promises none."""
    is_mov = "mov" in container.format.name
    # the index of a MOV obeys its edit lists, its declared number of frames does not
    num_packets = len(stream.index_entries) if is_mov else stream.frames
    return num_packets, _matroska_duration_s(stream)


def _matroska_duration_s(stream: VideoStream) -> float:
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is None:
        return 0.0
    hours, minutes, seconds = tag.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _extent(
    table: FrameTable, packets: _Packets, declared: tuple[int, float], stream: VideoStream
) -> tuple[float, int]:
    """Return the seconds and frames of the whole recording, its missing end included."""
    declared_packets, declared_s = declared
    ticks_T = np.diff(table.pts_T)
    fps = _nominal_fps(ticks_T, stream)
    end_pts = max(packets.end_pts, int(table.pts_T[-1]) + _typical_ticks(ticks_T))
    end_s = float(end_pts * stream_time_base(stream))
    held_s = end_s - float(int(table.pts_T[0]) * stream_time_base(stream))
    missing = max(declared_packets - packets.num_packets, 0)
    missing_s = declared_s - max(end_s, held_s)  # some writers declare the end, some the length
    if missing_s > _MISSING_END_S:
        missing = round(missing_s * fps)
    return held_s + missing / fps, len(table.pts_T) + missing


def _typical_ticks(ticks_T: npt.NDArray[np.int64]) -> int:
    return int(np.median(ticks_T)) if len(ticks_T) else 1


def _nominal_fps(ticks_T: npt.NDArray[np.int64], stream: VideoStream) -> float:
    rate = stream.average_rate or 1 / (_typical_ticks(ticks_T) * stream_time_base(stream))
    return float(rate)


def _is_variable(ticks_T: npt.NDArray[np.int64]) -> bool:
    """Tell whether frames last differently by more than a tick, which rounding explains."""
    deviation_T = np.abs(ticks_T - _typical_ticks(ticks_T))
    return bool(np.any(deviation_T > 1))


def _creation_time(container: InputContainer) -> datetime | None:
    try:
        moment = datetime.fromisoformat(container.metadata.get("creation_time", ""))
    except ValueError:  # absent, or in a form of the writer's own
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
