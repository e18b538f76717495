"""What an MP4 has lost, told by its own boxes: FFmpeg passes over damaged ones and says nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poseact.video.mp4_index import Box, Reader, boxes, boxes_within, numbers, table
from poseact.video.watchdog import alive

_MAX_FRAME_BYTES = 0x3FFFFFFF
"""FFmpeg ends its index at a frame that claims more."""

_IN_FRAGMENT = frozenset(b"mfhd traf pssh meta uuid free skip".split())
_IN_TRACK_FRAGMENT = frozenset(
    b"tfhd tfdt trun sdtp sbgp sgpd csgp subs saiz saio senc meta uuid free skip".split()
)
"""Boxes that belong there, by ISO/IEC 14496-12 and 23001-7; another has a damaged name."""

_NO_MEDIA = 2**32 - 1
"""Start of an edit that shows nothing for a while."""

_IS_EMPTY = 0x010000
"""Flag of a track that has no frames in a fragment."""


@dataclass(frozen=True, kw_only=True)
class Mp4Loss:
    """What there should be more than FFmpeg finds."""

    num_frames: int = 0
    """Frames of the pictures' track, where its index tells; else 0."""
    places: tuple[int, ...] = ()
    """Where in the file fragments are damaged or missing, bytes, increasing."""


def mp4_loss(file: Reader, size_bytes: int, *, track_id: int) -> Mp4Loss:
    """Compare the index of an MP4, and its fragments, with themselves.

    Args:
        file: An MP4.
        size_bytes: Its size.
        track_id: Track of the pictures, as its header numbers it.
    """
    moov = next((box for box in boxes(file, 0, size_bytes) if box.name == b"moov"), None)
    if moov is None:
        return Mp4Loss()
    num_frames = max(_frames_of(file, moov, track_id), default=0)
    return Mp4Loss(num_frames=num_frames, places=tuple(_lost_fragments(file, size_bytes, moov)))


def _frames_of(file: Reader, moov: Box, track_id: int) -> Iterator[int]:
    ticks_per_s = 0
    for box in boxes(file, moov.start, moov.end):
        if box.name == b"mvhd":
            ticks_per_s, _ = _clock(file, box)
        parts = {part.name: part for part in boxes_within(file, box.start, box.end)}
        if box.name == b"trak" and b"tkhd" in parts:
            header = parts[b"tkhd"].start
            (version,) = numbers(file, header, 1)
            if track_id == numbers(file, header + (20 if version >> 24 else 12), 1)[0]:
                yield _frames_of_track(file, parts, ticks_per_s)


def _frames_of_track(file: Reader, parts: dict[bytes, Box], movie_ticks_per_s: int) -> int:
    """Return how many frames the index of a track has; 0 if its edits may hide some."""
    if not {b"stsz", b"stts", b"stsd", b"mdhd"} <= parts.keys():
        return 0
    size_of_all, num_sizes = numbers(file, parts[b"stsz"].start + 4, 2)
    if size_of_all:
        return 0
    num_rows = (parts[b"stsz"].size - 12) // 4
    num_times = int(table(file, parts[b"stts"], 2)[:, 0].sum(dtype=np.int64))
    if num_sizes < min(num_rows, num_times):  # so the number is damaged
        return min(num_rows, num_times)
    (num_kinds,) = numbers(file, parts[b"stsd"].start + 4, 1)
    sizes = table(file, parts[b"stsz"], 1, header=12)
    is_cut = bool(np.any(sizes > _MAX_FRAME_BYTES))
    is_plain = num_kinds == 1 and _shows_all(file, parts, movie_ticks_per_s)
    return len(sizes) if is_cut or is_plain else 0


def _shows_all(file: Reader, parts: dict[bytes, Box], movie_ticks_per_s: int) -> bool:
    """Tell whether the edit list of a track goes from its first frame to its end."""
    if b"elst" not in parts:
        return True
    if numbers(file, parts[b"elst"].start, 1)[0] >> 24:  # of 64 bits, beyond what is worth it
        return False
    edits = table(file, parts[b"elst"], 3).astype(np.int64)
    edits = edits[edits[:, 1] != _NO_MEDIA]
    ticks_per_s, duration = _clock(file, parts[b"mdhd"])
    if len(edits) != 1 or not movie_ticks_per_s:
        return False
    length, start, _ = edits[0].tolist()
    delay = numbers(file, parts[b"ctts"].start + 4, 3)[2] if b"ctts" in parts else 0
    end = start + (length + 1) * ticks_per_s / movie_ticks_per_s  # a tick for the rounding
    return bool(start <= delay and end >= duration)


def _clock(file: Reader, header: Box) -> tuple[int, int]:
    """Return ticks per second, and duration in ticks, of a movie or track."""
    version, *times = numbers(file, header.start, 8)
    if version >> 24:
        return times[4], times[5] << 32 | times[6]
    return times[2], times[3]


def _lost_fragments(file: Reader, size_bytes: int, moov: Box) -> list[int]:
    """Return where a fragment is damaged, or one before it is missing."""
    inner = list(boxes_within(file, moov.start, moov.end))
    if all(box.name != b"mvex" for box in inner):
        return []
    # what the index itself lists lies before the first fragment
    has_index = any(numbers(file, box.start + 8, 1)[0] for box in inner if box.name == b"stsz")
    places, fragments = [], []
    is_headed, before = False, b""
    for box in boxes(file, 0, size_bytes):
        alive()
        if box.name == b"moof":
            fragments.append((box.start, _sequence_number(file, box)))
            if _is_damaged(file, box):
                places.append(box.start)
        elif box.name == b"mdat":
            is_listed = not fragments and has_index
            if not is_headed and not is_listed and before != b"mdat" and box.size:
                places.append(box.start)
        is_headed = box.name == b"moof" or (is_headed and box.name != b"mdat")
        before = box.name
    return sorted({*places, *_after_gaps(fragments)}) if fragments else []


def _after_gaps(fragments: list[tuple[int, int]]) -> Iterator[int]:
    """Yield the places of the fragments whose number is further from the last than usual."""
    steps = np.diff([number for _, number in fragments])
    usual = max(1.0, float(np.median(steps))) if len(steps) else 1.0
    for (place, _), step in zip(fragments[1:], steps, strict=True):
        if step > usual:
            yield place


def _sequence_number(file: Reader, fragment: Box) -> int:
    inner = boxes(file, fragment.start, fragment.end)
    return next((numbers(file, box.start + 4, 1)[0] for box in inner if box.name == b"mfhd"), 0)


def _is_damaged(file: Reader, fragment: Box) -> bool:
    """Tell whether a fragment has a part that FFmpeg does not know, or lacks one."""
    inner = list(boxes(file, fragment.start, fragment.end))
    tracks = [box for box in inner if box.name == b"traf"]
    is_known = all(box.name in _IN_FRAGMENT for box in inner)
    return not tracks or not is_known or any(_is_damaged_track(file, track) for track in tracks)


def _is_damaged_track(file: Reader, track: Box) -> bool:
    inner = {box.name: box for box in boxes(file, track.start, track.end)}
    if not inner.keys() <= _IN_TRACK_FRAGMENT:
        return True
    is_empty = b"tfhd" in inner and numbers(file, inner[b"tfhd"].start, 1)[0] & _IS_EMPTY
    return b"trun" not in inner and not is_empty
