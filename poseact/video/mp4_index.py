"""What the index of an MP4 claims, told before FFmpeg takes memory for each frame of it."""

import struct
from collections.abc import Iterator
from typing import Protocol

_WAY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
"""Boxes in boxes, down to the sizes of a track's frames."""

_MAX_BOXES = 1000
"""Boxes side by side to look at: a file may hold any number of empty ones."""


class Reader(Protocol):
    """An open file."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what there is."""


def frames_without_table(file: Reader, size_bytes: int) -> int:
    """Return how many frames an MP4 claims without listing them; 0 for any other file.

    A table that says only "a billion frames of one size" takes 20 bytes of the file, and 72 bytes
    of memory for each of them. Sound is passed over: raw sound counts its samples.

    Args:
        file: Any file.
        size_bytes: Its size.
    """
    return sum(_claims(file, 0, size_bytes, _WAY))


def _claims(file: Reader, start: int, end: int, way: tuple[bytes, ...]) -> Iterator[int]:
    for name, content, box_end in _boxes(file, start, end):
        if name == b"hdlr" and _read(file, content + 8, 4) == b"soun":
            return
        if name != way[0]:
            continue
        if len(way) > 1:
            yield from _claims(file, content, box_end, way[1:])
            continue
        table = _read(file, content, 12)
        if len(table) == 12:  # noqa: PLR2004 - version and flags, size of all frames, their number
            _, same_size, num_frames = struct.unpack(">III", table)
            yield num_frames if same_size else 0


def _boxes(file: Reader, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of content and end of the boxes in a stretch of a file."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        head = _read(file, start, 16).ljust(16, b"\0")
        size, name = struct.unpack(">I4s", head[:8])
        header = 8
        if size == 1:
            (size,), header = struct.unpack(">Q", head[8:]), 16
        size = size or end - start
        if size < header or name == b"moof":  # the index comes before the fragments
            return
        yield name, start + header, min(start + size, end)
        start += size


def _read(file: Reader, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
