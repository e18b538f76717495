"""A chunk's frames, with their presentation times."""

import heapq
import itertools
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from poseact.errors import VideoError
from poseact.geometry import ImageArray
from poseact.video.chunks import Chunk
from poseact.video.container import (
    VideoPacket,
    open_video,
    packet_pts,
    read_packets,
    stream_time_base,
)
from poseact.video.find import shown
from poseact.video.rotation import display_matrix, swaps_sides, upright

_SEEK_BACK_S = (1, 10, None)
"""How far before a keyframe to seek, in turn; None reads from the start of the file. Containers
without an index seek by decoding time, which runs ahead of presentation, and only come near."""


_LONG_REORDERING = frozenset({"h264", "hevc"})
"""Codecs whose frames may be presented after more than one that is decoded later."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One decoded picture."""

    frame_index: int
    """Rank in presentation order within the video; never a time."""
    pts: int
    """Presentation time, ticks of the stream's time base."""
    pts_s: float
    """Presentation time as the container has it, seconds; it need not start at 0."""
    rgb_HWC: ImageArray
    """Pixels, (H, W, 3), uint8, RGB, upright."""


@dataclass(kw_only=True)
class DecodeReport:
    """How a chunk's decoding went; complete once its frames are used up."""

    num_frames: int = 0
    """Frames handed out."""
    damaged_pts: set[int] = field(default_factory=set)
    """Presentation times of packets that were damaged or that the decoder refused, and of frames
    that came out damaged or out of order, ticks."""
    missing_pts: list[int] = field(default_factory=list)
    """Planned times for which no frame came, ticks, increasing."""
    last_good_pts: int | None = None
    """Presentation time of the last frame without damage, ticks."""

    @property
    def num_errors(self) -> int:
        """Number of frames that something was wrong with, handed out or not."""
        return len(self.damaged_pts)


class ChunkFrames(Iterator[Frame]):
    """The frames of a chunk in presentation order, and the report on their decoding."""

    def __init__(self, frames: Iterator[Frame], report: DecodeReport) -> None:
        self.report = report
        self._frames = frames

    def __next__(self) -> Frame:
        return next(self._frames)


class Decoder:
    """Decodes chunks, and goes on where the last one ended if the next has the same keyframe.

    A run that is too long for a chunk is several. Each can be decoded alone, from the keyframe of
    the run; but of an hour without another keyframe that would take days.
    """

    def __init__(self) -> None:
        """Start with no file open."""
        self._left: _Opened | None = None

    def decode(self, chunk: Chunk) -> ChunkFrames:
        """Decode exactly the frames in ``[chunk.start_pts, chunk.end_pts)``, one at a time.

        A damaged packet costs its own frames only; what was good is handed out, and ``report``
        counts the rest. A frame takes the index of the last planned time at or before its own, and
        each index is given once: frames keep their indices whatever is lost around them.

        Raises:
            VideoError: While iterating, if the file cannot be opened or is not the planned one.
        """
        report = DecodeReport()
        return ChunkFrames(self._frames(chunk, report), report)

    def _frames(self, chunk: Chunk, report: DecodeReport) -> Iterator[Frame]:
        opened, self._left = self._left, None
        if opened is None or not opened.is_before(chunk):
            if opened is not None:
                opened.files.close()
            opened = _opened_for(chunk)
        with opened.kept_open():
            yield from _planned(opened, chunk, report)
        self._left = opened


def decode_chunk(chunk: Chunk) -> ChunkFrames:
    """Decode one chunk alone, as ``Decoder`` does."""
    return Decoder().decode(chunk)


@dataclass(kw_only=True)
class _Opened:
    """A file that is open, and the pictures that its decoder makes from a keyframe on."""

    uri: str
    seek_pts: tuple[int, ...]
    """Keyframes that it was to be opened at."""
    pictures: Iterator[VideoFrame]
    damaged_pts: set[int]
    """Presentation times of the packets so far that were damaged, or refused by the decoder."""
    time_base: Fraction
    files: ExitStack
    """Closes it, and tells what was wrong with its store, when left by an error."""
    ahead: VideoFrame | None = None
    """A picture that was decoded, and is yet to be handed out."""

    def __next__(self) -> VideoFrame:
        picture, self.ahead = self.ahead, None
        return next(self.pictures) if picture is None else picture

    def __iter__(self) -> Iterator[VideoFrame]:
        return self

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Close the file if anything goes wrong."""
        with self.files:
            yield
            self.files = self.files.pop_all()

    def is_before(self, chunk: Chunk) -> bool:
        """Tell whether all of a chunk is yet to come, decoded as if from its keyframe."""
        if (self.uri, self.seek_pts) != (chunk.uri, chunk.seek_pts) or self.ahead is None:
            return False
        return self.ahead.pts is not None and self.ahead.pts <= chunk.start_pts


def _opened_for(chunk: Chunk) -> _Opened:
    """Open the file of a chunk at the first of its keyframes at which decoding is clean."""
    for keyframe_pts in chunk.seek_pts:
        opened = _opened_at(chunk, keyframe_pts)
        with opened.kept_open():
            first = next((p for p in opened if _is_at_or_after(p, keyframe_pts)), None)
        is_clean = first is not None and first.pts == keyframe_pts and not first.is_corrupt
        opened.ahead = first
        if is_clean or keyframe_pts == chunk.seek_pts[-1]:
            return opened
        opened.files.close()
    raise ValueError("a chunk has a keyframe to decode from")


def _opened_at(chunk: Chunk, keyframe_pts: int) -> _Opened:
    with ExitStack() as stack:
        packets, stream = stack.enter_context(_packets_from(chunk.uri, keyframe_pts))
        damaged_pts: set[int] = set()
        return _Opened(
            uri=chunk.uri,
            seek_pts=chunk.seek_pts,
            pictures=_pictures(packets, stream, damaged_pts),
            damaged_pts=damaged_pts,
            time_base=stream_time_base(stream),
            files=stack.pop_all(),
        )


@contextmanager
def _packets_from(
    uri: str, keyframe_pts: int
) -> Iterator[tuple[Iterator[VideoPacket], VideoStream]]:
    """Open a file at a keyframe; gives the packets from it on, and their stream."""
    for back_s in _SEEK_BACK_S:
        with open_video(uri, is_probed=True) as (container, stream):
            if back_s is not None:
                ticks = keyframe_pts - int(back_s / stream_time_base(stream))
                with suppress(av.FFmpegError):  # cannot seek: then it reads from where it is
                    container.seek(ticks, stream=stream)
            packets = read_packets(container, stream)
            # the clock of a recorder that was restarted goes back: at last all is read
            keyframe = _find_keyframe(packets, keyframe_pts, is_sorted=back_s is not None)
            if keyframe is not None:
                yield itertools.chain([keyframe], packets), stream
                return
    raise VideoError(
        f"{shown(uri)}: no keyframe at tick {keyframe_pts}; did the file change? Plan it again."
    )


def _find_keyframe(
    packets: Iterator[VideoPacket], keyframe_pts: int, *, is_sorted: bool
) -> VideoPacket | None:
    """Advance to a keyframe, told by its exact time; None if it is not ahead."""
    for packet in packets:
        if packet.is_keyframe and packet_pts(packet) == keyframe_pts:
            return packet
        if is_sorted and packet.dts is not None and packet.dts > keyframe_pts:
            return None
    return None


def _pictures(
    packets: Iterator[VideoPacket], stream: VideoStream, damaged_pts: set[int]
) -> Iterator[VideoFrame]:
    """Yield what the decoder makes of the packets; note the times of those that are damaged."""
    # an AVI has no presentation times: where pictures are reordered, they take those of decoding,
    # which are the same ones, in their own order
    untimed: list[int] = []
    # other codecs hold one picture back, so the times of those that they drop can be told
    holds_one = stream.codec_context.name not in _LONG_REORDERING
    for packet in packets:
        pts = packet_pts(packet)
        is_untimed = packet.pts is None and pts is not None and stream.codec_context.has_b_frames
        if is_untimed and pts is not None:
            heapq.heappush(untimed, pts)
        else:
            packet.pts = pts  # the decoder hands it on to the frame
        is_damaged = packet.is_corrupt
        try:
            for picture in packet.decode():
                yield _timed(picture, untimed)
        except av.FFmpegError:
            is_damaged = True
            if is_untimed and pts in untimed:
                untimed.remove(pts)
                heapq.heapify(untimed)
        while holds_one and len(untimed) > 1:
            heapq.heappop(untimed)
        if is_damaged and pts is not None:
            damaged_pts.add(pts)
    # packets that end in a broken container leave frames in the decoder; else it has none left
    with suppress(av.FFmpegError):
        for picture in stream.decode(None):
            yield _timed(picture, untimed)


def _timed(picture: VideoFrame, untimed: list[int]) -> VideoFrame:
    if picture.pts is None and untimed:
        picture.pts = heapq.heappop(untimed)
    return picture


def _planned(opened: _Opened, chunk: Chunk, report: DecodeReport) -> Iterator[Frame]:
    """Yield the pictures that belong to the chunk, each with its index."""
    reformatter = VideoReformatter()  # kept: setting one up for each frame is slow
    free_slot = 0
    for picture in opened:
        pts = picture.pts
        if pts is None or pts < chunk.start_pts:
            continue
        if chunk.end_pts is not None and pts >= chunk.end_pts:
            opened.ahead = picture
            break
        slot = bisect_right(chunk.frame_pts, pts) - 1
        if picture.is_corrupt or slot < free_slot:
            report.damaged_pts.add(pts)
        if slot < free_slot:
            continue
        report.missing_pts += chunk.frame_pts[free_slot:slot]
        free_slot = slot + 1
        report.num_frames += 1
        report.last_good_pts = report.last_good_pts if picture.is_corrupt else pts
        yield Frame(
            frame_index=chunk.first_frame_index + slot,
            pts=pts,
            pts_s=float(pts * opened.time_base),
            rgb_HWC=_upright_rgb(picture, reformatter, chunk),
        )
    report.missing_pts += chunk.frame_pts[free_slot:]
    # outside of the chunk packets serve only to get there and on; theirs counts them
    report.damaged_pts |= {pts for pts in opened.damaged_pts if _holds(chunk, pts)}


def _is_at_or_after(picture: VideoFrame, pts: int) -> bool:
    return picture.pts is not None and picture.pts >= pts


def _holds(chunk: Chunk, pts: int) -> bool:
    return pts >= chunk.start_pts and (chunk.end_pts is None or pts < chunk.end_pts)


def _upright_rgb(picture: VideoFrame, reformatter: VideoReformatter, chunk: Chunk) -> ImageArray:
    """Convert to the size that was planned for: some streams change theirs on the way."""
    matrix = display_matrix(picture)
    width, height = chunk.width, chunk.height
    if swaps_sides(matrix):
        width, height = height, width
    rgb = reformatter.reformat(picture, width, height, "rgb24", threads=1).to_ndarray()
    return upright(np.asarray(rgb, np.uint8), matrix)
