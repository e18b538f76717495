"""Opening a video, restricted to one file, or object of a store, in a true video container."""

import io
import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from poseact.errors import PoseactError, UnforeseenVideoError, VideoError
from poseact.remote import RemotePath
from poseact.storage import to_path
from poseact.video.find import shown
from poseact.video.mp4_index import Reader, why_not_credible
from poseact.video.watchdog import alive

if TYPE_CHECKING:
    VideoPacket: TypeAlias = Packet[VideoStream]
    AnyPacket: TypeAlias = Packet[Any]
else:
    VideoPacket = AnyPacket = Packet  # generic for type checkers only

MAX_SIDE_PX = 16_384
"""Longest side of a frame: OpenCV cannot warp pictures of more than 32,767, FFmpeg's own bound on
their memory ends near here, and the largest cameras make 8K (7,680 x 4,320)."""

MAX_PIXELS = 2**26
"""Twice the pixels of 8K: 200 MB as RGB. A damaged or hostile header may declare anything."""

MAX_TIME_S = 10 * 366 * 86_400
"""Presentation times further from 0 than ten years are damage; clocks that count from 1970 are not
among them, since no container that we read stores them as presentation times."""

# Playlists, concat scripts and image patterns would make the job read files or addresses that
# nobody named. Raw elementary streams carry no presentation times.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"
_CONTAINERS = "MP4/MOV, Matroska/WebM, AVI, MPEG-TS, MPEG-PS, FLV, ASF/WMV or Ogg"

_MAX_FAILURES = 100
"""Failures to read a packet, one after the other, after which there is nothing more to come."""

_STORE_BUFFER_BYTES = 1024**2
"""Bytes that FFmpeg asks a store for at once; each is a request, and its default is 32 KiB."""

INDEX_BUFFER_BYTES = 64 * 1024
"""The same for a look at the index of an MP4."""

_AVI_CHUNK_HEADER_BYTES = 8
"""From where the index of an AVI says that a frame is, to where its packet starts."""


@contextmanager
def open_video(
    uri: str, *, is_probed: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video and its main video stream, set to decode on one thread.

    What a store answers while the video is read, inside the ``with``, is reported, too.

    Args:
        uri: Absolute path, or location in a store.
        is_probed: Whether it was opened before, and the claims of its index are known to be
            credible: telling takes a read for each fragment of an MP4.

    Raises:
        VideoError: If it is not a video file, holds no video stream that can be decoded, or its
            store fails.
    """
    try:
        with _opened(uri, is_probed=is_probed) as container, container:
            stream = _video_stream(uri, container)
            _require_size(uri, stream)
            yield container, stream
    except PoseactError:
        raise
    except Exception as error:  # a file may be damaged so that PyAV itself trips over it
        raise UnforeseenVideoError(
            f"{shown(uri)}: cannot be read as a video ({type(error).__name__}: {error}). "
            "Check that the recording was finished, or convert it."
        ) from error


def packet_pts(packet: VideoPacket) -> int | None:
    """Return when a packet's frame is presented, in ticks of the stream's time base.

    Some writers leave the presentation time out where it equals the decoding time (streams
    without reordered frames), so the decoding time stands in for a missing one.
    """
    return packet.dts if packet.pts is None else packet.pts


def stream_time_base(stream: VideoStream) -> Fraction:
    """Return the seconds per tick of a stream's times."""
    return stream.time_base or Fraction(1, av.time_base)


def read_packets(
    container: InputContainer, stream: VideoStream, *others: Stream
) -> Iterator[AnyPacket]:
    """Yield packets in the order of the file, up to where the container is broken for good.

    A packet whose time is out of all bounds comes without one, and marked as corrupt.

    Args:
        container: Opened video.
        stream: Video stream that is read.
        others: Further streams whose packets are wanted, too; left as they are.
    """
    max_ticks = int(MAX_TIME_S / stream_time_base(stream))
    index = _AviIndex(stream) if container.format.name == "avi" else None
    for packet in _readable(container, stream, *others):
        alive()
        if packet.stream_index == stream.index:
            if index is not None:
                index.mend(packet)
            if max(abs(packet.pts or 0), abs(packet.dts or 0)) > max_ticks:
                packet.pts = packet.dts = None
                packet.is_corrupt = True
        yield packet


def _readable(container: InputContainer, *streams: Stream) -> Iterator[AnyPacket]:
    """Yield packets; what cannot be read is passed over as long as anything comes after it.

    FFmpeg calls it the end of an MP4, too, where the index points to a place that is not there.
    """
    failures = 0
    while failures < _MAX_FAILURES:
        is_end, flushes = True, list[AnyPacket]()
        try:
            for packet in container.demux(*streams):
                if packet.size == 0 and packet.dts is None:  # asks a decoder for what it holds
                    flushes.append(packet)
                    continue
                is_end, failures = False, 0
                yield packet
        except av.InvalidDataError:  # FFmpeg is behind it by now
            failures += 1
        except (av.FFmpegError, IndexError):  # PyAV, at the end, where streams came up on the way
            return
        else:
            if is_end:
                yield from flushes
                return


class _AviIndex:
    """The times of an AVI's frames, by their place in the file.

    Its packets have no times. FFmpeg counts them, so every frame after a lost one would be early.
    """

    def __init__(self, stream: VideoStream) -> None:
        # one that FFmpeg makes while it reads, for want of another, has its counts, too
        self._entries = stream.index_entries
        self._next = 0
        self._late_ticks = 0

    def mend(self, packet: AnyPacket) -> None:
        """Give a packet the time that the index has for its place."""
        if packet.pos is None or packet.dts is None:
            return
        place = packet.pos - _AVI_CHUNK_HEADER_BYTES
        if not self._is_next(place):
            self._next = bisect_left(self._entries, place, key=lambda entry: entry.pos)
        if self._is_next(place):
            self._late_ticks = self._entries[self._next].timestamp - packet.dts
            self._next += 1
        packet.dts += self._late_ticks
        packet.pts = None  # FFmpeg's guess, wrong where frames are reordered

    def _is_next(self, place: int) -> bool:
        return self._next < len(self._entries) and self._entries[self._next].pos == place


@contextmanager
def _opened(uri: str, *, is_probed: bool) -> Iterator[InputContainer]:
    place = to_path(uri)
    try:
        if isinstance(place, RemotePath):
            with _open_in_store(uri, place, is_probed=is_probed) as container:
                yield container
        else:
            yield _open_file(uri, place, is_probed=is_probed)
    except av.FFmpegError:
        raise  # some of them are OSErrors as well
    except OSError as error:  # raised while the video is read, this comes from its store
        raise _cannot_open(uri, error) from error


def _open_file(uri: str, path: Path, *, is_probed: bool) -> InputContainer:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{shown(uri)}: {_why_no_folder(path)}")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{shown(uri)}: not a regular file; expected a video file")
    _require_content(uri, status.st_size)
    if not is_probed:
        with path.open("rb") as file:
            _require_credible_index(uri, file, status.st_size)
    # "file:" keeps a colon in a name from being read as a protocol
    return _open_container(uri, f"file:{uri}", protocol_whitelist="file")


@contextmanager
def _open_in_store(uri: str, path: RemotePath, *, is_probed: bool) -> Iterator[InputContainer]:
    if path.is_dir():
        raise VideoError(f"{shown(uri)}: is a folder; expected a video file")
    size_bytes = path.stat().st_size
    _require_content(uri, size_bytes)
    # the object is open already: what it names could only be something else
    with path.open("rb") as file:
        if not is_probed:
            buffered = io.BufferedReader(file, INDEX_BUFFER_BYTES)
            _require_credible_index(uri, buffered, size_bytes)
            buffered.detach()
            file.seek(0)
        yield _open_container(uri, file, protocol_whitelist="")


def _open_container(uri: str, file: Any, *, protocol_whitelist: str) -> InputContainer:  # noqa: ANN401 - a file URL, or whatever reads bytes
    options = {
        "format_whitelist": _FORMATS,
        "protocol_whitelist": protocol_whitelist,
        "max_pixels": str(MAX_PIXELS),  # for the decoders: opening decodes the first frames
    }
    try:
        container: InputContainer = av.open(
            file, "r", options=options, metadata_errors="replace", buffer_size=_STORE_BUFFER_BYTES
        )
    except av.FFmpegError as error:
        raise VideoError(
            f"{shown(uri)}: cannot be read as a video ({error.strerror}); expected {_CONTAINERS}. "
            "Check that the recording was finished, or convert it."
        ) from error
    return container


def _require_content(uri: str, size_bytes: int) -> None:
    if size_bytes == 0:
        raise VideoError(f"{shown(uri)}: the file is empty (0 bytes); copy or record it again")


def _require_credible_index(uri: str, file: Reader, size_bytes: int) -> None:
    reason = why_not_credible(file, size_bytes)
    if reason is not None:
        raise VideoError(f"{shown(uri)}: {reason}. Copy, record or convert it again.")


def _cannot_open(uri: str, error: OSError) -> VideoError:
    return VideoError(f"{shown(uri)}: cannot be opened ({error.strerror or error})")


def _why_no_folder(path: Path) -> str:
    """Tell why a folder stands where a video is expected: find lists those it cannot search."""
    try:
        with os.scandir(path):
            return "is a folder; expected a video file"
    except OSError as error:
        return (
            f"is a folder that cannot be searched ({error.strerror}). "
            "Allow reading it, or move it elsewhere."
        )


def _video_stream(uri: str, container: InputContainer) -> VideoStream:
    # a sound file may have cover art
    streams = [
        one for one in container.streams.video if not one.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise VideoError(f"{shown(uri)}: has no video stream; expected a recording with pictures")
    stream = max(streams, key=_size)  # the first of equals; others are previews
    if stream.codec_context is None:
        raise VideoError(f"{shown(uri)}: no decoder for its video; convert it")
    # workers share the machine's cores: more decoder threads only take turns
    stream.codec_context.thread_count = 1
    return stream


def _size(stream: VideoStream) -> tuple[int, int]:
    """Return frames, as far as they are declared, and pixels."""
    context = stream.codec_context
    return stream.frames, context.width * context.height if context else 0


def _require_size(uri: str, stream: VideoStream) -> None:
    width, height = stream.width, stream.height
    shorter, longer = sorted((width, height))
    if shorter <= 0 or longer > MAX_SIDE_PX or width * height > MAX_PIXELS:
        size = f"{width} x {height} pixels" if shorter > 0 else "no size that can be decoded"
        raise VideoError(
            f"{shown(uri)}: its header declares frames of {size}; expected sides of at most "
            f"{MAX_SIDE_PX:,} and {MAX_PIXELS / 1e6:.0f} million pixels. The header is damaged, "
            "or the video must be made smaller."
        )
    # a stream may also grow on its way
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
