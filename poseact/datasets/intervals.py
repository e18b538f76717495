"""Labels as intervals of recordings, as people write them down while they watch."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from poseact.datasets.labels import csv_rows
from poseact.errors import InputError

INTERVAL_COLUMNS: Final = ("video", "label", "start", "end")
_TRACK_COLUMN: Final = "track"
_CLOCK_PARTS: Final = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """Somebody, or everybody in view, does something from one time to another."""

    where: str
    """``file:line``."""

    video: str
    """Id, path, or file name with or without its ending."""

    label: str
    start_s: float
    end_s: float
    """Presentation time, half-open."""

    track: int | None
    """Person who does it; None for everybody in view."""

    def contradicts(self, other: "Interval") -> bool:
        """Tell whether the two say different things of one person at one time."""
        return (
            self.label != other.label
            and self.start_s < other.end_s
            and other.start_s < self.end_s
            and (self.track is None or other.track is None or self.track == other.track)
        )


def read_intervals(path: Path) -> tuple[Interval, ...]:
    """Read a table of intervals.

    Args:
        path: CSV file ``video,label,start,end`` and, where several people are in view, ``track``.
            Times in seconds or as ``h:mm:ss``.

    Returns:
        One interval per row.

    Raises:
        InputError: If the table cannot be read or a row is wrong, with its line: a row left out
            would turn what it labels into ``other``.
    """
    intervals = tuple(_parse(where, cells) for where, cells in csv_rows(path, INTERVAL_COLUMNS))
    if not intervals:
        raise InputError(f"{path}: has a header and no intervals.")
    return intervals


def check_consistent(intervals: Sequence[Interval]) -> None:
    """Refuse intervals of one recording that contradict each other, with their lines.

    Raises:
        InputError: If two do.
    """
    for first, second in itertools.combinations(intervals, 2):
        if first.contradicts(second):
            raise InputError(
                f"{second.where}: {second.label!r} overlaps {first.label!r} of {first.where}. "
                "Shorten one, or say by `track` who does which."
            )


def _parse(where: str, cells: Mapping[str, str]) -> Interval:
    label = cells["label"].strip().lower()
    if not cells["video"].strip() or not label:
        raise InputError(f"{where}: video and label must not be empty.")
    start_s, end_s = (_seconds(where, name, cells[name]) for name in ("start", "end"))
    if end_s <= start_s:
        raise InputError(f"{where}: end must be after start, got {start_s:g} to {end_s:g} s.")
    track = (cells.get(_TRACK_COLUMN) or "").strip()
    if track and not track.isdecimal():
        raise InputError(f"{where}: track must be a number or empty, got {track!r}.")
    return Interval(
        where=where,
        video=cells["video"].strip(),
        label=label,
        start_s=start_s,
        end_s=end_s,
        track=int(track) if track else None,
    )


def _seconds(where: str, name: str, text: str) -> float:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= _CLOCK_PARTS or not np.isfinite(parts).all():
        raise InputError(f"{where}: {name} must be seconds or h:mm:ss, got {text!r}.")
    total_s = 0.0
    for part in parts:
        total_s = 60 * total_s + part
    return total_s
