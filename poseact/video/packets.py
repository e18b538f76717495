"""What the packets of a video tell: when its frames are presented, and where the file is damaged.

Every packet is read once; none but the first few are decoded.
"""

from array import array
from bisect import bisect
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseact.video.container import AnyPacket, VideoPacket, packet_pts, read_packets
from poseact.video.mp4_loss import Mp4Loss

_FIRST_FRAME_PACKETS = 300
"""Packets to try for the frame that tells the rotation: a damaged file is not decoded twice."""

_MAX_GAP_BYTES = {"matroska": 128, "flv": 128, "mpegts": 1024}
"""Bytes between two packets that are still the container's own: measured 7 to 60 in Matroska, 20 in
FLV, and up to 700 in MPEG-TS, where its tables and padding come between. Other containers have an
index of their frames, or pad what lies between them."""

_HEADER_BYTES = 32
"""The same for each packet of sound that lies between: measured 7 to 20."""


@dataclass
class Packets:
    """What the packets of a stream tell."""

    shown_pts: "array[int]" = field(default_factory=lambda: array("q"))
    """Presentation time of each frame that is shown, ticks, in the order of the file."""
    is_keyframe: "array[int]" = field(default_factory=lambda: array("b"))
    """For each of them, 0 or 1."""
    damage_pts: "array[int]" = field(default_factory=lambda: array("q"))
    """Pts of the packets at which the file has bytes that are no packet, or packets are missing."""
    first_keyframe_pts: int | None = None
    """Earliest of the keyframes, hidden ones included."""
    first_keyframe_place: int | None = None
    """Where in the file the first of them is, bytes."""
    end_pts: int = -(1 << 63)
    """When the last frame that is shown ends, as far as its packet says how long it lasts."""
    num_packets: int = 0
    """Packets of frames, shown or not."""
    num_untimed: int = 0
    """Packets whose time is damaged."""
    first_place: int = 0
    """Where in the file the first packet is, bytes."""
    num_lost_at_ends: int = 0
    """Fragments lost before the first packet or after the last one."""
    end_s: float = 0.0
    """When the last packet of any stream ends."""
    first_frame: VideoFrame | None = None
    """First frame that could be decoded; it tells the rotation."""


def survey_packets(container: InputContainer, stream: VideoStream, loss: Mp4Loss) -> Packets:
    """Read all packets of a recording, those of its other streams for where they lie and end.

    Args:
        container: Opened video, not read so far.
        stream: Its pictures.
        loss: What an MP4 has lost.
    """
    packets = Packets()
    place = _Place(container, loss)
    others = [other for other in container.streams if other.index != stream.index]
    for packet in read_packets(container, stream, *others):
        is_ours = packet.stream_index == stream.index
        is_damaged = place.move_over(packet, is_ours=is_ours)
        packets.end_s = max(packets.end_s, _end_s(packet))
        if not is_ours:
            continue
        if packets.first_frame is None and packets.num_packets < _FIRST_FRAME_PACKETS:
            packets.first_frame = _first_frame(packet)
        if packet.size:  # an empty one asks the decoder for the frames that it still holds
            _add(packets, packet, is_damaged=is_damaged)
    packets.first_place = place.first or 0
    packets.num_lost_at_ends = place.num_lost_at_ends()
    return packets


def _add(packets: Packets, packet: VideoPacket, *, is_damaged: bool) -> None:
    packets.num_packets += 1
    pts = packet_pts(packet)
    if pts is None:
        packets.num_untimed += packet.is_corrupt
        return
    if is_damaged:
        packets.damage_pts.append(pts)
    if packet.is_keyframe:
        if packets.first_keyframe_pts is None:
            packets.first_keyframe_pts, packets.first_keyframe_place = pts, packet.pos
        packets.first_keyframe_pts = min(packets.first_keyframe_pts, pts)
    if not packet.is_discard:  # so an edit list marks what is decoded but not shown
        packets.shown_pts.append(pts)
        packets.is_keyframe.append(packet.is_keyframe)
        packets.end_pts = max(packets.end_pts, pts + (packet.duration or 0))


def _end_s(packet: AnyPacket) -> float:
    pts = packet_pts(packet)
    return 0.0 if pts is None else float((pts + (packet.duration or 0)) * (packet.time_base or 0))


def _first_frame(packet: VideoPacket) -> VideoFrame | None:
    try:
        frames = packet.decode()
    except av.FFmpegError:  # decoding proper counts this error, and goes on as we do
        return None
    return frames[0] if frames else None


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
