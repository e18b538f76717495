"""What a video file is: its identity, its pictures, and when each frame is presented.

Array shape: T = frames in presentation order.
"""

import hashlib
import io
import re
from array import array
from bisect import bisect
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseact.errors import VideoError
from poseact.storage import to_path
from poseact.video.container import (
    MAX_TIME_S,
    AnyPacket,
    VideoPacket,
    open_video,
    packet_pts,
    read_packets,
    stream_time_base,
)
from poseact.video.find import (
    absolute_path,
    camera_in_name,
    credible,
    file_that_is_not_utf8,
    shown,
    start_in_name,
)
from poseact.video.mp4_loss import Mp4Loss, mp4_loss
from poseact.video.rotation import (
    UPRIGHT,
    DisplayMatrix,
    clockwise_deg,
    display_matrix,
    swaps_sides,
)

_FIRST_FRAME_PACKETS = 300
"""Packets to try for the frame that tells the rotation: a damaged file is not decoded twice."""

_EVEN_END_FRAMES = 1.5
"""A declared end this many frames after the last one means that the file was cut off; less is
rounding or the habit of the writer."""

_VARIABLE_END_S = 1.0
"""The same where frames last differently, and the last one may have been shown for long."""

_MAX_GAP_BYTES = {"matroska": 128, "flv": 128, "mpegts": 1024}
"""Bytes between two packets that are still the container's own: measured 7 to 60 in Matroska, 20 in
FLV, and up to 700 in MPEG-TS, where its tables and padding come between. Other containers have an
index of their frames, or pad what lies between them."""

_HEADER_BYTES = 32
"""The same for each packet of sound that lies between: measured 7 to 20."""

_INDEX_BUFFER_BYTES = 64 * 1024
"""Bytes that a look at the index of an MP4 asks a store for at once."""

_TS_PACKET_BYTES = (188, 192, 204)
"""Length of the packets of a transport stream; with a clock, or with codes against errors."""

_TS_FIRST_BYTE = 0x47

_MAX_BYTES_BEFORE = 2**20
"""Bytes before the first frame to look at: more than that of the largest keyframes."""

_DAMAGE_FRAMES = 2
"""How near to a gap of time the damage must be."""

_MATROSKA_DURATION = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d{1,20})?)")


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
        declared = _declared(container, stream, loss)
        packets = _read_packets(container, stream, loss)
        table = _frame_table(packets)
        if table is None:
            raise VideoError(f"{shown(uri)}: {_why_no_frame(packets)}")
        ticks_T = np.diff(table.pts_T)
        duration_s, frames_expected = _extent(table, packets, declared, stream)
        frames_expected += _lost_at_start(uri, container, stream, table, packets)
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


def _mp4_loss(uri: str, stream: VideoStream) -> Mp4Loss:
    path = to_path(uri)
    size_bytes = path.stat().st_size
    with path.open("rb") as file, io.BufferedReader(file, _INDEX_BUFFER_BYTES) as buffered:
        return mp4_loss(buffered, size_bytes, track_id=stream.id)


@dataclass
class _Packets:
    """What the packets of a stream tell."""

    shown_pts: "array[int]" = field(default_factory=lambda: array("q"))
    """Pts of each frame that is shown, in the order of the file."""
    is_keyframe: "array[int]" = field(default_factory=lambda: array("b"))
    """For each of them, 0 or 1."""
    damage_pts: "array[int]" = field(default_factory=lambda: array("q"))
    """Pts of the packets at which the file has bytes that are no packet, or packets are missing."""
    first_keyframe_pts: int | None = None
    first_keyframe_place: int | None = None
    """Where in the file the first of them is, bytes."""
    end_pts: int = -(1 << 63)
    num_packets: int = 0
    num_untimed: int = 0
    """Packets whose time is damaged."""
    first_place: int = 0
    """Where in the file the first packet is, bytes."""
    num_lost_at_ends: int = 0
    """Fragments lost before the first packet or after the last one."""
    end_s: float = 0.0
    """When the last packet of any stream ends."""
    first_frame: VideoFrame | None = None


def _read_packets(container: InputContainer, stream: VideoStream, loss: Mp4Loss) -> _Packets:
    packets = _Packets()
    others = [other for other in container.streams if other.index != stream.index]
    place = _Place(container, loss)
    for packet in read_packets(container, stream, *others):
        is_damaged = place.move_over(packet, is_ours=packet.stream_index == stream.index)
        packets.end_s = max(packets.end_s, _end_s(packet))
        if packet.stream_index != stream.index:
            continue
        if packets.first_frame is None and packets.num_packets < _FIRST_FRAME_PACKETS:
            packets.first_frame = _first_frame(packet)
        if packet.size == 0:  # asks the decoder for the frames that it still holds
            continue
        packets.num_packets += 1
        pts = packet_pts(packet)
        if pts is None:
            packets.num_untimed += packet.is_corrupt
            continue
        if is_damaged:
            packets.damage_pts.append(pts)
        if packet.is_keyframe:
            first = packets.first_keyframe_pts
            packets.first_keyframe_pts = pts if first is None else min(first, pts)
            packets.first_keyframe_place = (
                packet.pos if first is None else packets.first_keyframe_place
            )
        if not packet.is_discard:  # so an edit list marks what is decoded but not shown
            packets.shown_pts.append(pts)
            packets.is_keyframe.append(packet.is_keyframe)
            packets.end_pts = max(packets.end_pts, pts + (packet.duration or 0))
    packets.first_place = place.first or 0
    packets.num_lost_at_ends = place.num_lost_at_ends()
    return packets


def _end_s(packet: AnyPacket) -> float:
    pts = packet_pts(packet)
    return 0.0 if pts is None else float((pts + (packet.duration or 0)) * (packet.time_base or 0))


class _Place:
    """Where in the file its reading is: tells when bytes are passed over that are no packet.

    A demuxer that meets garbage looks for the next thing that it knows, and says nothing.
    """

    def __init__(self, container: InputContainer, loss: Mp4Loss) -> None:
        self._max_gap_bytes = _MAX_GAP_BYTES.get(container.format.name.split(",")[0])
        self._lost = loss.places
        self.first: int | None = None
        self._end = 0

    def move_over(self, packet: AnyPacket, *, is_ours: bool) -> bool:
        """Advance; tell whether there is damage before, or in, a packet of the video."""
        if packet.pos is None or packet.pos < 0:
            return is_ours and packet.is_corrupt
        if not is_ours:
            if self._max_gap_bytes is not None:
                self._end += packet.size + _HEADER_BYTES
            return False
        is_damaged = packet.is_corrupt or self._is_damaged_before(packet.pos)
        self.first = packet.pos if self.first is None else self.first
        self._end = packet.pos + packet.size
        return is_damaged

    def _is_damaged_before(self, pos: int) -> bool:
        if self.first is None:
            return False
        if self._max_gap_bytes is not None:
            return pos - self._end > self._max_gap_bytes
        return bisect(self._lost, self._end) < bisect(self._lost, pos)

    def num_lost_at_ends(self) -> int:
        """Return how many fragments of an MP4 are lost before the first packet or after the last.

        How many frames they had is not known.
        """
        if self.first is None:
            return 0
        return sum(not self.first <= place < self._end for place in self._lost)


def _first_frame(packet: VideoPacket) -> VideoFrame | None:
    try:
        frames = packet.decode()
    except av.FFmpegError:  # decoding proper counts this error, and goes on as we do
        return None
    return frames[0] if frames else None


def _frame_table(packets: _Packets) -> FrameTable | None:
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


def _why_no_frame(packets: _Packets) -> str:
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


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """What the header promises; 0 where it promises nothing."""

    num_packets: int
    last_pts: int
    """When the last frame is presented, ticks."""
    duration_s: float = 0.0
    longest_s: float = 0.0
    """Of the longest stream, which need not be the video."""


def _declared(container: InputContainer, stream: VideoStream, loss: Mp4Loss) -> _Declared:
    # the index of a MOV obeys its edit lists, its declared number of frames does not
    if "mov" in container.format.name:
        entries = stream.index_entries
        last_pts = entries[-1].timestamp if len(entries) else 0
        num_packets = max(len(entries), loss.num_frames)
        if len(entries) < num_packets:  # FFmpeg ended its index early
            first_pts = entries[0].timestamp if len(entries) else 0
            last_pts = max(last_pts, first_pts + _up_to_last(stream.duration or 0, num_packets))
        return _Declared(num_packets=num_packets, last_pts=last_pts)
    # an AVI counts its frames, so their number is a time, too
    is_avi = container.format.name == "avi"
    is_matroska = "matroska" in container.format.name
    longest_s = (container.duration or 0) / av.time_base
    max_packets = MAX_TIME_S * float(stream.average_rate or 0)
    num_packets = stream.frames if stream.frames <= max_packets else 0
    return _Declared(
        num_packets=num_packets,
        last_pts=num_packets - 1 if is_avi else 0,
        duration_s=_matroska_duration_s(stream),
        longest_s=longest_s if is_matroska and longest_s <= MAX_TIME_S else 0.0,
    )


def _up_to_last(duration_ticks: int, num_frames: int) -> int:
    return duration_ticks * (num_frames - 1) // num_frames


def _matroska_duration_s(stream: VideoStream) -> float:
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is None:
        return 0.0
    hours, minutes, seconds = tag.groups()
    duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return duration_s if duration_s <= MAX_TIME_S else 0.0


def _extent(
    table: FrameTable, packets: _Packets, declared: _Declared, stream: VideoStream
) -> tuple[float, int]:
    """Return the seconds and frames of the whole recording, what is missing included."""
    ticks_T = np.diff(table.pts_T)
    typical = _typical_ticks(ticks_T)
    fps = _nominal_fps(ticks_T, stream)
    base_s = float(stream_time_base(stream))
    end_pts = max(packets.end_pts, int(table.pts_T[-1]) + typical)
    held_s = (end_pts - int(table.pts_T[0])) * base_s
    missing = declared.num_packets - packets.num_packets
    if missing > 0:
        missing_end_s = max(declared.last_pts + typical - end_pts, 0) * base_s
    else:
        # some writers declare the end, some the length
        missing_end_s = declared.duration_s - max(end_pts * base_s, held_s)
        if not declared.duration_s:  # where a longer stream goes on, this one may have ended
            missing_end_s = declared.longest_s - max(packets.end_s, held_s)
        rounding_s = _VARIABLE_END_S if _is_variable(ticks_T) else _EVEN_END_FRAMES / fps
        missing_end_s = missing_end_s if missing_end_s > rounding_s else 0.0
        missing = round(missing_end_s * fps) + _lost_on_the_way(table, packets)
    missing += packets.num_untimed + packets.num_lost_at_ends
    return held_s + missing_end_s, len(table.pts_T) + missing


def _lost_on_the_way(table: FrameTable, packets: _Packets) -> int:
    """Return how many frames fit into the gaps of time at which the file is damaged.

    A gap alone may be a pause of the camera.
    """
    if not packets.damage_pts:
        return 0
    ticks_T = np.diff(table.pts_T)
    typical = _typical_ticks(ticks_T)
    damage_pts = np.sort(np.array(packets.damage_pts, np.int64))
    # the demuxer notices a frame or two off
    first = np.searchsorted(damage_pts, table.pts_T[:-1] - _DAMAGE_FRAMES * typical)
    last = np.searchsorted(damage_pts, table.pts_T[1:] + _DAMAGE_FRAMES * typical, side="right")
    lost_T = np.round(ticks_T / typical).astype(np.int64) - 1
    return int(lost_T[(lost_T > 0) & (first < last)].sum())


def _lost_at_start(
    uri: str, container: InputContainer, stream: VideoStream, table: FrameTable, packets: _Packets
) -> int:
    """Return how many frames before the first keyframe are lost by damage.

    A recording that was cut out of a longer one may start with frames that refer to others.
    """
    start_pts = packets.first_keyframe_pts or 0
    first_cue_pts = _first_cue_pts(container, stream, packets)
    if first_cue_pts is not None and first_cue_pts < start_pts:
        return round((start_pts - first_cue_pts) / _typical_ticks(np.diff(table.pts_T)))
    num_dropped = len({pts for pts in packets.shown_pts if pts < start_pts})
    is_damaged = any(pts < start_pts for pts in packets.damage_pts)
    if num_dropped and not is_damaged and container.format.name == "mpegts":
        is_damaged = _is_out_of_step(uri, packets.first_place)
    return num_dropped if is_damaged else 0


def _is_out_of_step(uri: str, place: int) -> bool:
    """Tell whether the packets of a transport stream before a place do not begin as they should."""
    start = max(0, place - _MAX_BYTES_BEFORE)
    with to_path(uri).open("rb") as file:
        file.seek(start)
        content = bytes(file.read(place - start + 5 * max(_TS_PACKET_BYTES)))
    place -= start
    for step in _TS_PACKET_BYTES:
        if set(content[place::step][:5]) == {_TS_FIRST_BYTE}:
            return bool(set(content[place % step : place : step]) - {_TS_FIRST_BYTE})
    return False


def _first_cue_pts(container: InputContainer, stream: VideoStream, packets: _Packets) -> int | None:
    """Return when the first keyframe in the index of a Matroska is presented.

    None if its cluster is the one in which a keyframe was found, or there is no index.
    """
    if "matroska" not in container.format.name or packets.first_keyframe_place is None:
        return None
    with suppress(av.FFmpegError):
        container.seek(packets.first_keyframe_pts or 0, stream=stream)  # reads the index
    entries = stream.index_entries
    clusters = sorted({entry.pos for entry in entries})
    if bisect(clusters, packets.first_keyframe_place) <= 1:
        return None
    return min(entry.timestamp for entry in entries)


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
    return credible(moment)
