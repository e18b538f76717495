"""The unit of work: a stretch of one video that any worker can decode alone."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from poseact.video.probe import FrameTable, VideoInfo, frame_table

_MIN_RUN_S = 1
"""Length from which a keyframe ends a GOP run: files whose every frame is a keyframe would
otherwise fall into runs of one frame."""

MAX_RUN_BYTES = 64 * 1024**2
"""Decoded pixels from which a run is cut into several: a property of the file alone, so that what
is found in a run never depends on how much memory a chunk may take."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive frames of one video: whole GOP runs, of which one that is too long is several.

    Plain values only, a few bytes per frame: it travels to the worker.
    """

    video_id: str
    uri: str
    width: int
    """Pixels, after rotation."""
    height: int
    """Pixels, after rotation."""
    frame_pts: tuple[int, ...]
    """Presentation times of the frames to expect, ticks, increasing."""
    end_pts: int | None
    """First pts of the next chunk; None for the last one."""
    seek_pts: tuple[int, ...]
    """Keyframes to decode from: the one that starts the first frame's run, then the one before,
    for when the first does not stand alone (gradual refresh) or is damaged."""
    first_frame_index: int
    """Rank of the first frame in presentation order within the video."""
    gop_run_pts: tuple[int, ...]
    """First pts of each GOP run in the chunk."""

    @property
    def chunk_id(self) -> str:
        """Name that is the same whenever the same file is planned."""
        return f"{self.video_id}-{self.start_pts}"

    @property
    def start_pts(self) -> int:
        """Presentation time of the first frame, ticks."""
        return self.frame_pts[0]

    @property
    def num_frames(self) -> int:
        """Number of frames to expect."""
        return len(self.frame_pts)


@dataclass(frozen=True)
class _Run:
    """Frames ``[start, end)``, by rank in presentation order, and where to decode them from."""

    start: int
    end: int
    seek_pts: tuple[int, ...]


def plan_chunks(
    info: VideoInfo, *, max_bytes: int, max_run_bytes: int = MAX_RUN_BYTES
) -> list[Chunk]:
    """Cut a video into chunks.

    A GOP run starts at a keyframe and ends before the first keyframe at least a second later. One
    that is too long is cut between frames into several, each decoded from the same keyframe. Runs
    are a property of the file alone. A chunk takes as many consecutive runs as fit.

    Args:
        info: Recording, from ``probe``.
        max_bytes: Bound on the decoded RGB pixels of one chunk; one run is always allowed.
        max_run_bytes: Bound on those of one run; one frame is always allowed.

    Returns:
        Chunks in presentation order; every frame belongs to exactly one.

    Raises:
        VideoError: If the file can no longer be read.
    """
    table = frame_table(info)
    frame_bytes = 3 * info.width * info.height
    runs = _runs(table, info, max(1, max_run_bytes // frame_bytes))
    groups = list(_grouped(runs, max_bytes // frame_bytes))
    ends = [group[0].start for group in groups[1:]]
    return [_chunk(group, end, table, info) for group, end in itertools.zip_longest(groups, ends)]


def _runs(table: FrameTable, info: VideoInfo, max_frames: int) -> Iterator[_Run]:
    """Yield the GOP runs."""
    starts = _run_starts(table, math.ceil(_MIN_RUN_S / info.time_base))
    keyframe_pts = [table.first_keyframe_pts, *table.pts_T[starts[1:]].tolist()]
    for run, (start, end) in enumerate(itertools.pairwise([*starts, len(table.pts_T)])):
        seek_pts = tuple(keyframe_pts[max(run - 1, 0) : run + 1][::-1])
        for piece in range(start, end, max_frames):
            yield _Run(piece, min(piece + max_frames, end), seek_pts)


def _run_starts(table: FrameTable, min_ticks: int) -> list[int]:
    keyframes = np.flatnonzero(table.is_keyframe_T)
    keyframe_pts = table.pts_T[keyframes]
    starts = [0]
    while True:
        after_run = np.searchsorted(keyframe_pts, table.pts_T[starts[-1]] + min_ticks)
        if after_run == len(keyframes):
            return starts
        starts.append(int(keyframes[after_run]))


def _grouped(runs: Iterable[_Run], max_frames: int) -> Iterator[list[_Run]]:
    group: list[_Run] = []
    for run in runs:
        if group and run.end - group[0].start > max_frames:
            yield group
            group = []
        group.append(run)
    yield group


def _chunk(group: list[_Run], end: int | None, table: FrameTable, info: VideoInfo) -> Chunk:
    return Chunk(
        video_id=info.video_id,
        uri=info.uri,
        width=info.width,
        height=info.height,
        frame_pts=tuple(table.pts_T[group[0].start : group[-1].end].tolist()),
        end_pts=None if end is None else int(table.pts_T[end]),
        seek_pts=group[0].seek_pts,
        first_frame_index=group[0].start,
        gop_run_pts=tuple(int(table.pts_T[run.start]) for run in group),
    )
