"""What the index of an MP4 claims, told before FFmpeg takes memory for each frame of it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from poseact.video.watchdog import alive

_CONTAINERS = frozenset(
    b"moov trak mdia minf dinf stbl edts mvex moof traf tref udta hoov free sinf schi".split()
)
"""Boxes in which FFmpeg looks for others, whatever box they are in themselves."""

_MAX_DEPTH = 10
"""Boxes in boxes; FFmpeg goes no deeper."""

_MAX_BOXES = 10_000_000
"""Boxes to look at: a day in 100,000 fragments has a million."""

_MAX_TRACK_BOXES = 1000
"""The same in one track, which has thirty or so."""

_MAX_DESCRIPTION_BYTES = 2**24
"""Bytes of a track's description to look at; it has hundreds."""

_RUN_LISTS = 0xF00
"""Flags of what a run lists for each frame, in 4 bytes each."""

_SOUND_SAMPLES = 1024
"""Samples of raw sound that FFmpeg takes as one frame."""


class Reader(Protocol):
    """An open file."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what there is."""


@dataclass(frozen=True)
class Box:
    """A box of an MP4, and where in the file its content is."""

    name: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return self.end - self.start


def why_not_credible(file: Reader, size_bytes: int) -> str | None:
    """Tell what is wrong with the index of an MP4, if anything; None for any other file.

    A table that says only "a billion frames of one size" takes 20 bytes of the file, and 72 bytes
    of memory for each of them.

    Args:
        file: Any file.
        size_bytes: Its size.
    """
    num_frames = 0
    for num_boxes, box in enumerate(boxes_within(file, 0, size_bytes)):
        if box.name == b"cmov":  # what is in it is seen by unpacking it only
            return "its index is compressed"
        if num_boxes >= _MAX_BOXES:
            return f"its index has more than {_MAX_BOXES:,} parts"
        if box.name == b"trak":
            parts = list(islice(boxes_within(file, box.start, box.end), _MAX_TRACK_BOXES))
            if len(parts) == _MAX_TRACK_BOXES:
                return f"the index of a track has {_MAX_TRACK_BOXES:,} parts or more"
            num_frames += _claimed_by_track(file, parts, size_bytes)
        elif box.name == b"trun":
            num_frames += _claimed_by_run(file, box, size_bytes)
        if num_frames > size_bytes:
            return f"its index claims {num_frames:,} frames in {size_bytes:,} bytes"
    return None


def boxes_within(file: Reader, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """Yield each box in a stretch of a file, then those in it."""
    for box in boxes(file, start, end):
        alive()
        yield box
        if box.name in _CONTAINERS and depth < _MAX_DEPTH:
            yield from boxes_within(file, box.start, box.end, depth + 1)


def boxes(file: Reader, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes side by side in a stretch of a file."""
    while start + 8 <= end:
        head = _read(file, start, 16).ljust(16, b"\0")
        size, name = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", head, 8), 16
        size = size or end - start
        if size < header:
            return
        yield Box(name, start + header, min(start + size, end))
        start += size


def _claimed_by_track(file: Reader, parts: list[Box], size_bytes: int) -> int:
    """Return how many frames a track has, as its index says and its edit list repeats them."""
    if _is_raw_sound(file, parts):
        places = [*_named(parts, b"stco"), *_named(parts, b"co64")]
        samples = _named(parts, b"stsc")
        num_frames = sum(_claimed_by_chunks(file, *pair) for pair in product(samples, places))
    else:
        sizes = [*_named(parts, b"stsz"), *_hidden_sizes(file, _named(parts, b"stsd"))]
        num_frames = sum(_claimed_by_sizes(file, box, size_bytes) for box in sizes)
    edits = _named(parts, b"elst")
    num_edits = sum(min(*numbers(file, box.start + 4, 1), box.size // 12) for box in edits)
    return num_frames * max(1, num_edits)


def _named(parts: list[Box], name: bytes) -> list[Box]:
    return [box for box in parts if box.name == name]


def _hidden_sizes(file: Reader, descriptions: list[Box]) -> Iterator[Box]:
    """Yield the table of sizes in a description, which may hold any box at its end."""
    for box in descriptions:
        content = _read(file, box.start, min(box.size, _MAX_DESCRIPTION_BYTES))
        place = content.find(b"stsz")
        if place >= 0:
            yield Box(b"stsz", box.start + place + 4, box.end)


def _claimed_by_sizes(file: Reader, table: Box, size_bytes: int) -> int:
    """Return the frames of a table of sizes: one for all of them, or a list as far as it goes."""
    size_of_all, num_frames = numbers(file, table.start + 4, 2)
    return num_frames if size_of_all else min(num_frames, (size_bytes - table.start) // 4)


def _claimed_by_run(file: Reader, run: Box, size_bytes: int) -> int:
    """Return the frames of a run in a fragment: a list if they differ in anything."""
    flags, num_frames = numbers(file, run.start, 2)
    num_listed = (flags & _RUN_LISTS).bit_count()
    return (
        min(num_frames, (size_bytes - run.start) // (4 * num_listed)) if num_listed else num_frames
    )


def _is_raw_sound(file: Reader, parts: list[Box]) -> bool:
    """Tell whether FFmpeg will go by chunks, as the table of sizes counts each sample of sound."""
    kinds = {_read(file, box.start + 8, 4) for box in _named(parts, b"hdlr")}
    times = [numbers(file, box.start + 4, 3) for box in _named(parts, b"stts")]
    is_even = all(num_entries == ticks == 1 for num_entries, _, ticks in times)
    return b"soun" in kinds and b"vide" not in kinds and bool(times) and is_even


def _claimed_by_chunks(file: Reader, samples: Box, places: Box) -> int:
    """Return the frames of raw sound, of which stretches of chunks have a number of samples."""
    (num_chunks,) = numbers(file, places.start + 4, 1)
    rows = table(file, samples, 3)
    num_chunks_of_each = np.diff(rows[:, 0].astype(np.float64), append=num_chunks + 1)
    frames_in_chunk = np.ceil(rows[:, 1] / _SOUND_SAMPLES)
    return int(np.sum(np.maximum(num_chunks_of_each, 0) * frames_in_chunk))


def numbers(file: Reader, start: int, count: int) -> tuple[int, ...]:
    """Return so many numbers of 32 bits from a place of a file; zeros after its end."""
    return struct.unpack(f">{count}I", _read(file, start, 4 * count).ljust(4 * count, b"\0"))


def table(file: Reader, box: Box, width: int, *, header: int = 8) -> npt.NDArray[np.uint32]:
    """Return the rows of a box that is a table of numbers of 32 bits.

    Args:
        file: An MP4.
        box: Box of the table.
        width: Numbers in each row.
        header: Bytes of the box before them; the last four are the number of rows.
    """
    (num_rows,) = numbers(file, box.start + header - 4, 1)
    row_bytes = 4 * width
    num_rows = min(num_rows, max(box.size - header, 0) // row_bytes)
    content = _read(file, box.start + header, num_rows * row_bytes)
    return np.frombuffer(content[: len(content) // row_bytes * row_bytes], ">u4").reshape(-1, width)


def _read(file: Reader, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(max(size, 0))
