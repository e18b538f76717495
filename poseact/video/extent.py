"""How long a recording is, and how many frames it has: what is held, and what is missing.

A file that was cut off or damaged declares more than it holds, or shows by its packets that there
was more. Array shape: T = frames in presentation order.
"""

import re
from bisect import bisect
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from poseact.storage import to_path
from poseact.video.container import MAX_TIME_S, stream_time_base
from poseact.video.mp4_loss import Mp4Loss
from poseact.video.packets import Packets

_EVEN_END_FRAMES = 1.5
"""A declared end this many frames after the last one means that the file was cut off; less is
rounding or the habit of the writer."""

_VARIABLE_END_S = 1.0
"""The same where frames last differently, and the last one may have been shown for long."""

_TS_PACKET_BYTES = (188, 192, 204)
"""Length of the packets of a transport stream; with a clock, or with codes against errors."""

_TS_FIRST_BYTE = 0x47

_MAX_BYTES_BEFORE = 2**20
"""Bytes before the first frame to look at: more than that of the largest keyframes."""

_DAMAGE_FRAMES = 2
"""How near to a gap of time the damage must be."""

_MATROSKA_DURATION = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d{1,20})?)")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How the frames of a recording follow each other."""

    typical_ticks: int
    """Median from one frame to the next; 1 where there is one frame only."""
    fps_nominal: float
    """Average frame rate."""
    is_vfr: bool
    """Whether frames last differently by more than a tick, which rounding explains."""


def pace_of(pts_T: npt.NDArray[np.int64], stream: VideoStream) -> Pace:
    """Tell how the frames of a stream follow each other.

    Args:
        pts_T: Presentation times, (T,), ticks, strictly increasing, at least one.
        stream: Where they come from.
    """
    ticks_T = np.diff(pts_T)
    typical = int(np.median(ticks_T)) if len(ticks_T) else 1
    return Pace(
        typical_ticks=typical,
        fps_nominal=float(stream.average_rate or 1 / (typical * stream_time_base(stream))),
        is_vfr=bool(np.any(np.abs(ticks_T - typical) > 1)),
    )


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the header promises; 0 where it promises nothing."""

    num_packets: int
    """Packets of the pictures."""
    last_pts: int
    """When the last frame is presented, ticks."""
    duration_s: float = 0.0
    """Of the pictures; some writers mean the end."""
    longest_s: float = 0.0
    """Of the longest stream, which need not be the video."""


def read_declared(container: InputContainer, stream: VideoStream, loss: Mp4Loss) -> Declared:
    """Return what the header of a recording promises.

    Args:
        container: Opened video, not read so far: FFmpeg adds to an index what it meets.
        stream: Its pictures.
        loss: What an MP4 has lost.
    """
    if "mov" in container.format.name:
        return _declared_by_mp4(stream, loss)
    # an AVI counts its frames, so their number is a time, too
    is_avi = container.format.name == "avi"
    is_matroska = "matroska" in container.format.name
    longest_s = (container.duration or 0) / av.time_base
    max_packets = MAX_TIME_S * float(stream.average_rate or 0)
    num_packets = stream.frames if stream.frames <= max_packets else 0
    return Declared(
        num_packets=num_packets,
        last_pts=num_packets - 1 if is_avi else 0,
        duration_s=_matroska_duration_s(stream),
        longest_s=longest_s if is_matroska and longest_s <= MAX_TIME_S else 0.0,
    )


def _declared_by_mp4(stream: VideoStream, loss: Mp4Loss) -> Declared:
    # its index obeys the edit lists, its declared number of frames does not
    entries = stream.index_entries
    num_packets = max(len(entries), loss.num_frames)
    first_pts, last_pts = (entries[0].timestamp, entries[-1].timestamp) if len(entries) else (0, 0)
    if len(entries) < num_packets:  # FFmpeg ended its index early
        up_to_last = (stream.duration or 0) * (num_packets - 1) // num_packets
        last_pts = max(last_pts, first_pts + up_to_last)
    return Declared(num_packets=num_packets, last_pts=last_pts)


def _matroska_duration_s(stream: VideoStream) -> float:
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is None:
        return 0.0
    hours, minutes, seconds = tag.groups()
    duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return duration_s if duration_s <= MAX_TIME_S else 0.0


def extent(
    pts_T: npt.NDArray[np.int64],
    pace: Pace,
    packets: Packets,
    declared: Declared,
    time_base: Fraction,
) -> tuple[float, int]:
    """Return the seconds and frames from the first frame on, what is missing included.

    Args:
        pts_T: Presentation times of the frames found, (T,), ticks, strictly increasing.
        pace: How they follow each other.
        packets: What the packets tell.
        declared: What the header promises.
        time_base: Seconds per tick.
    """
    base_s = float(time_base)
    end_pts = max(packets.end_pts, int(pts_T[-1]) + pace.typical_ticks)
    held_s = (end_pts - int(pts_T[0])) * base_s
    missing = declared.num_packets - packets.num_packets
    if missing > 0:
        missing_end_s = max(declared.last_pts + pace.typical_ticks - end_pts, 0) * base_s
    else:
        if declared.duration_s:  # some writers declare the end, some the length
            missing_end_s = declared.duration_s - max(end_pts * base_s, held_s)
        else:  # where a longer stream goes on, this one may have ended
            missing_end_s = declared.longest_s - max(packets.end_s, held_s)
        rounding_s = _VARIABLE_END_S if pace.is_vfr else _EVEN_END_FRAMES / pace.fps_nominal
        missing_end_s = missing_end_s if missing_end_s > rounding_s else 0.0
        missing = round(missing_end_s * pace.fps_nominal) + _lost_on_the_way(pts_T, pace, packets)
    missing += packets.num_untimed + packets.num_lost_at_ends
    return held_s + missing_end_s, len(pts_T) + missing


def _lost_on_the_way(pts_T: npt.NDArray[np.int64], pace: Pace, packets: Packets) -> int:
    """Return how many frames fit into the gaps of time at which the file is damaged.

    A gap alone may be a pause of the camera.
    """
    damage_pts = np.sort(np.array(packets.damage_pts, np.int64))
    # the demuxer notices a frame or two off
    tolerance = _DAMAGE_FRAMES * pace.typical_ticks
    first = np.searchsorted(damage_pts, pts_T[:-1] - tolerance)
    last = np.searchsorted(damage_pts, pts_T[1:] + tolerance, side="right")
    lost_T = np.round(np.diff(pts_T) / pace.typical_ticks).astype(np.int64) - 1
    return int(lost_T[(lost_T > 0) & (first < last)].sum())


def lost_at_start(
    uri: str, container: InputContainer, stream: VideoStream, pace: Pace, packets: Packets
) -> int:
    """Return how many frames before the first keyframe are lost by damage.

    A recording that was cut out of a longer one may start with frames that refer to others.

    Args:
        uri: Absolute path, or location in a store.
        container: The same, opened and read to its end.
        stream: Its pictures.
        pace: How its frames follow each other.
        packets: What its packets tell.
    """
    start_pts = packets.first_keyframe_pts or 0
    first_cue_pts = _first_cue_pts(container, stream, packets)
    if first_cue_pts is not None and first_cue_pts < start_pts:
        return round((start_pts - first_cue_pts) / pace.typical_ticks)
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


def _first_cue_pts(container: InputContainer, stream: VideoStream, packets: Packets) -> int | None:
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
