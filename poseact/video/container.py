"""Opening a video file, restricted to local files in true video containers."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from poseact.errors import VideoError
from poseact.video.watchdog import alive

if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
else:
    VideoPacket = Packet  # generic for type checkers only

# Playlists, concat scripts and image patterns would make the job read files or addresses that
# nobody named. Raw elementary streams carry no presentation times.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg",
}
_CONTAINERS = "MP4/MOV, Matroska/WebM, AVI, MPEG-TS, MPEG-PS, FLV, ASF/WMV or Ogg"


@contextmanager
def open_video(uri: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream, set to decode on one thread.

    Raises:
        VideoError: If it is not a video file, or holds no video stream that can be decoded.
    """
    _require_content(uri)
    try:
        # "file:" keeps a colon in a name from being read as a protocol
        container = av.open(f"file:{uri}", "r", options=_OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        raise VideoError(
            f"{uri}: cannot be read as a video ({error.strerror}); expected {_CONTAINERS}. "
            "Check that the recording was finished, or convert it."
        ) from error
    with container:
        yield container, _video_stream(uri, container)


def packet_pts(packet: VideoPacket) -> int | None:
    """Return when a packet's frame is presented, in ticks of the stream's time base.

    Some writers leave the presentation time out where it equals the decoding time (streams
    without reordered frames), so the decoding time stands in for a missing one.
    """
    return packet.dts if packet.pts is None else packet.pts


def stream_time_base(stream: VideoStream) -> Fraction:
    """Return the seconds per tick of a stream's times."""
    return stream.time_base or Fraction(1, av.time_base)


def readable(packets: Iterator[VideoPacket]) -> Iterator[VideoPacket]:
    """Yield packets up to the point where the container itself is broken."""
    try:
        for packet in packets:
            alive()
            yield packet
    except av.FFmpegError:
        return


def _require_content(uri: str) -> None:
    try:
        status = Path(uri).stat()
    except OSError as error:
        raise VideoError(f"{uri}: cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{uri}: not a regular file; expected a video file")
    if status.st_size == 0:
        raise VideoError(f"{uri}: the file is empty (0 bytes); copy or record it again")


def _video_stream(uri: str, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # cover art of a sound file
            continue
        if stream.codec_context is None:
            raise VideoError(f"{uri}: no decoder for its video ({stream.codec_tag}); convert it")
        # workers share the machine's cores: more decoder threads only take turns
        stream.codec_context.thread_count = 1
        return stream
    raise VideoError(f"{uri}: has no video stream; expected a recording with pictures")
