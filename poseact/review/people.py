"""Who is in each frame of a recording, read from its timeline while the recording plays.

Shapes: J = 7 joints, B rows of the table.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final

import pyarrow as pa

from poseact.geometry import FloatArray
from poseact.skeleton import NUM_JOINTS
from poseact.timeline.tables import OutFolder, stream_timeline

MAX_GAP_S: Final = 2.0
"""Longest time for which a person who was lost from sight is taken to be there still: for as long
tracking keeps their identity."""

_COLUMNS: Final = (
    "frame_index",
    "pts_s",
    "track_id",
    "bbox_xyxy_px",
    "joints",
    "action",
    "score",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """One person in one frame."""

    track_id: int
    box_xyxy: FloatArray
    """(4,), source pixels."""
    joints_J3: FloatArray
    """(7, 3): x, y in source pixels, confidence; NaN for a joint that is not seen."""
    doing: str | None
    """Action and score; None for a person who is not seen, only taken to be there."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FramePeople:
    """The people of one frame that was analysed; there may be none."""

    frame_index: int
    pts_s: float
    people: tuple[Person, ...]


def read_people(out: OutFolder, video_id: str) -> Iterator[FramePeople]:
    """Read who is in each frame of a recording.

    Args:
        out: Folder of a run.
        video_id: Recording.

    Yields:
        Every analysed frame, in order; those between two sightings of one person, at most
        ``MAX_GAP_S`` apart, have that person too, where they must have been. It reads ahead by
        that time only.

    Raises:
        InputError: If the recording has no timeline, or another version of poseact wrote it.
    """
    return bridged(_by_frame(stream_timeline(out, video_id, _COLUMNS)))


def bridged(frames: Iterable[FramePeople]) -> Iterator[FramePeople]:
    """Add the people who were lost from sight for a moment; as ``read_people``."""
    window: deque[FramePeople] = deque()
    for frame in frames:
        while window and frame.pts_s - window[0].pts_s > MAX_GAP_S:
            yield window.popleft()
        for person in frame.people:
            _fill_gap(window, person, frame.pts_s)
        window.append(frame)
    yield from window


def _fill_gap(window: deque[FramePeople], person: Person, pts_s: float) -> None:
    """Add a person who is in sight again to the frames since the last sighting."""
    for i in range(len(window) - 1, -1, -1):
        before = _sighting(window[i], person.track_id)
        if before is None:
            continue
        for j in range(i + 1, len(window)):
            share = (window[j].pts_s - window[i].pts_s) / (pts_s - window[i].pts_s)
            between = _between(before, person, share)
            people = (*window[j].people, between)
            window[j] = dataclasses.replace(window[j], people=people)
        return


def _sighting(frame: FramePeople, track_id: int) -> Person | None:
    return next((person for person in frame.people if person.track_id == track_id), None)


def _between(before: Person, after: Person, share: float) -> Person:
    return Person(
        track_id=before.track_id,
        box_xyxy=(1 - share) * before.box_xyxy + share * after.box_xyxy,
        joints_J3=(1 - share) * before.joints_J3 + share * after.joints_J3,
        doing=None,
    )


def _by_frame(batches: Iterable[pa.RecordBatch]) -> Iterator[FramePeople]:
    rows = (row for batch in batches for row in _rows(batch))
    for _, group in groupby(rows, attrgetter("frame_index")):
        first, *others = group
        people = (person for row in (first, *others) for person in row.people)
        yield dataclasses.replace(first, people=tuple(people))


def _rows(batch: pa.RecordBatch) -> Iterator[FramePeople]:
    """Yield each row of a timeline: one person of a frame, or a frame with nobody."""
    boxes_B4 = batch.column("bbox_xyxy_px").flatten().to_numpy().reshape(-1, 4)
    joints_BJ3 = batch.column("joints").flatten().to_numpy().reshape(-1, NUM_JOINTS, 3)
    names = ("frame_index", "pts_s", "track_id", "action", "score")
    columns = (batch.column(name).to_pylist() for name in names)
    for i, (frame_index, pts_s, track_id, action, score) in enumerate(zip(*columns, strict=True)):
        person = Person(
            track_id=track_id,
            box_xyxy=boxes_B4[i],
            joints_J3=joints_BJ3[i],
            doing=f"{action} {score:.2f}",
        )
        people = () if track_id is None else (person,)
        yield FramePeople(frame_index=frame_index, pts_s=pts_s, people=people)
