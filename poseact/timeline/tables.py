"""Write and read the tables of a run.

    OUT/videos/<video_id>.parquet
    OUT/timeline/camera_id=<id>/date=<YYYY-MM-DD>/<video_id>.parquet     (segments alike)
    OUT/verdicts/*.parquet

A file appears under its name only when complete, and the same rows give the same bytes, so that
writing twice is the same as writing once.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from poseact.errors import InputError
from poseact.remote import RemotePath
from poseact.storage import AnyPath, cannot_read, remove_file, to_path
from poseact.timeline.parquet import (
    UNKNOWN_DATE,
    find_files,
    open_timeline,
    read_table,
    told,
    write_table,
)
from poseact.timeline.schema import SEGMENTS, VIDEOS, actions_of, timeline_schema

OutFolder: TypeAlias = str | os.PathLike[str] | RemotePath
"""Folder of a run: a path of this machine, or a location such as ``s3://bucket/out``."""

CAMERA_ID: Final = re.compile(r"[A-Za-z0-9._-]+")

_RUN_MARKS: Final = ("run.json", "videos", "timeline")
_STREAM_ROWS: Final = 4096
_STREAM_BYTES: Final = 1024**2
_NULLABLE_DTYPES: Final = {
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def write_timeline(
    out: OutFolder,
    table: pa.Table,
    *,
    video_id: str,
    camera_id: str,
    start_utc: datetime | None,
) -> AnyPath:
    """Write the timeline of one video.

    Args:
        out: Folder of the run.
        table: Rows in any order, with the metadata of ``timeline_schema(actions)``.
        video_id: Names the file.
        camera_id: Letters, digits, ``.``, ``_`` and ``-``.
        start_utc: When the video starts, timezone-aware; its UTC date names the folder. None if
            unknown.

    Returns:
        The file written.

    Raises:
        ValueError: If ``camera_id`` has other characters or a column is missing or wrong.
        OutputError: If the folder cannot be written.
    """
    schema = timeline_schema(actions_of(table.schema))
    rows = table.select(schema.names).cast(schema)
    order = [(name, "ascending") for name in ("frame_index", "track_id")]
    path = partition_folder(out, "timeline", camera_id, start_utc) / f"{video_id}.parquet"
    return write_table(path, rows.sort_by(order))


def write_segments(
    out: OutFolder,
    rows: Sequence[Mapping[str, object]],
    *,
    video_id: str,
    camera_id: str,
    start_utc: datetime | None,
) -> AnyPath:
    """Write the segments of one video, an empty file if there are none.

    Args:
        out: Folder of the run.
        rows: Made by ``segment_row``, in any order.
        video_id: As for ``write_timeline``.
        camera_id: As for ``write_timeline``.
        start_utc: As for ``write_timeline``.

    Returns:
        The file written.

    Raises:
        ValueError: If ``camera_id`` has other characters.
        OutputError: If the folder cannot be written.
    """
    table = pa.Table.from_pylist(list(rows), schema=SEGMENTS)
    order = [(name, "ascending") for name in ("start_s", "track_id", "action")]
    path = partition_folder(out, "segments", camera_id, start_utc) / f"{video_id}.parquet"
    return write_table(path, table.sort_by(order))


def write_video_row(out: OutFolder, row: Mapping[str, object]) -> AnyPath:
    """Write the ``videos`` row of one input file; a column left out is null.

    Raises:
        OutputError: If the folder cannot be written.
    """
    table = pa.Table.from_pylist([dict(row)], schema=VIDEOS)
    return write_table(to_path(out) / "videos" / f"{row['video_id']}.parquet", table)


def remove_video_row(out: AnyPath, video_id: str) -> None:
    """Remove the ``videos`` row of one input file; OutputError if it cannot be removed."""
    remove_file(out / "videos" / f"{video_id}.parquet")


def partition_folder(
    out: OutFolder, table: str, camera_id: str, start_utc: datetime | None
) -> AnyPath:
    """Return the folder of one camera and UTC day.

    Raises:
        ValueError: If ``camera_id`` has characters that a folder of a partition cannot have.
    """
    if not CAMERA_ID.fullmatch(camera_id):
        raise ValueError(f"camera_id must match {CAMERA_ID.pattern}, got {camera_id!r}")
    date = start_utc.astimezone(UTC).date().isoformat() if start_utc else UNKNOWN_DATE
    return to_path(out) / table / f"camera_id={camera_id}" / f"date={date}"


def read_video_row(out: AnyPath, video_id: str) -> dict[str, Any] | None:
    """Read the ``videos`` row of one input file, null as None; None if it has none yet."""
    path = out / "videos" / f"{video_id}.parquet"
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(path, error) from error
        return None  # damaged is as good as absent: written anew
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows[0] if len(rows) == 1 else None


def read_timeline(
    out: OutFolder,
    *,
    camera: str | int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    action: str | None = None,
) -> pd.DataFrame:
    """Read what every person did in every frame.

    Args:
        out: Folder of a run.
        camera: Only this camera.
        since: Only frames at or after this time, timezone-aware; leaves out videos without a date.
        until: Only frames before this time, timezone-aware.
        action: Only rows that name this action.

    Returns:
        The columns of ``timeline_schema``, then ``camera_id`` and ``date``; the names of the
        ``scores`` columns in ``frame.attrs["actions"]``.

    Raises:
        InputError: If there is no run, or another version of poseact wrote it.
        ValueError: If a time has no timezone.
    """
    wanted = _wanted("time_utc", camera, since, until, action)
    table = _read(out, "timeline", wanted)
    frame = _to_pandas(table)
    frame.attrs["actions"] = list(actions_of(table.schema))
    return frame


def find_timelines(out: OutFolder) -> dict[str, AnyPath]:
    """Return the file of each video's timeline, by video id; InputError if it cannot be read."""
    return {path.stem: path for path in find_files(to_path(out) / "timeline")}


def camera_of(path: AnyPath) -> str:
    """Return the camera in whose folder a file of ``timeline`` or ``segments`` lies."""
    return path.parent.parent.name.removeprefix("camera_id=")


def read_rows(path: AnyPath, columns: Sequence[str]) -> pa.Table:
    """Read columns of one file that ``find_timelines`` found, by frame, then track.

    Raises:
        InputError: If it is damaged, or another version of poseact wrote it.
    """
    with open_timeline(path) as file:
        return file.read(columns=list(columns))


def stream_timeline(
    out: OutFolder, video_id: str, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Read the timeline of one video piece by piece, in memory that does not grow with its length.

    Args:
        out: Folder of a run.
        video_id: Video whose analysis gave at least one frame.
        columns: Columns to read.

    Yields:
        Rows by frame, then track.

    Raises:
        InputError: If the video has no timeline, or another version of poseact wrote it.
    """
    path = find_timelines(out).get(video_id)
    if path is None:
        raise InputError(
            f"{to_path(out) / 'timeline'}: has no timeline of video {video_id}. Was it removed? "
            "Analyze the video again."
        )
    # with a buffer it reads page by page: else a whole column of up to a million rows at once
    with open_timeline(path, buffer_size=_STREAM_BYTES) as file:
        yield from file.iter_batches(_STREAM_ROWS, columns=list(columns))


def read_segments(  # noqa: PLR0913 - filters, named at every call
    out: OutFolder,
    *,
    camera: str | int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    action: str | None = None,
    min_score: float | None = None,
) -> pd.DataFrame:
    """Read the segments that a reviewer should look at.

    Args:
        out: Folder of a run.
        camera: Only this camera.
        since: Only segments that start at or after this time, timezone-aware; leaves out videos
            without a date.
        until: Only segments that start before this time, timezone-aware.
        action: Only this action.
        min_score: Only segments whose peak scores at least this.

    Returns:
        The columns of ``SEGMENTS``, then ``camera_id`` and ``date``; no rows if nothing was found.

    Raises:
        InputError: If there is no run, or another version of poseact wrote it.
        ValueError: If a time has no timezone.
    """
    wanted = _wanted("start_utc", camera, since, until, action)
    if min_score is not None:
        wanted.append(ds.field("peak_score") >= min_score)
    return _to_pandas(_read(out, "segments", wanted))


def read_videos(out: OutFolder) -> pd.DataFrame:
    """Read what became of each input file, by uri.

    Raises:
        InputError: If there is no run, or another version of poseact wrote it.
    """
    return _to_pandas(_read(out, "videos", []).sort_by("uri"))


def read_verdicts(out: OutFolder) -> pd.DataFrame:
    """Read every decision of the reviewers, in order of time.

    Raises:
        InputError: If there is no run, or another version of poseact wrote it.
    """
    return _to_pandas(_read(out, "verdicts", []).sort_by("decided_at_utc"))


def _wanted(
    time_column: str,
    camera: str | int | None,
    since: datetime | None,
    until: datetime | None,
    action: str | None,
) -> list[ds.Expression]:
    wanted = []
    if camera is not None:
        wanted.append(ds.field("camera_id") == str(camera))
    if since is not None:
        wanted.append(ds.field(time_column) >= _aware("since", since))
    if until is not None:
        wanted.append(ds.field(time_column) < _aware("until", until))
    if action is not None:
        wanted.append(ds.field("action") == action)
    return wanted


def _aware(name: str, time: datetime) -> pa.Scalar:
    if time.tzinfo is None:
        raise ValueError(f"{name} needs a timezone, such as UTC; got {time!r}")
    return pa.scalar(time, pa.timestamp("us", tz="UTC"))


def _read(out: OutFolder, name: str, wanted: Sequence[ds.Expression]) -> pa.Table:
    """Read the rows of one table for which every wanted expression holds."""
    root = to_path(out)
    with told(root):
        if not any((root / mark).exists() for mark in _RUN_MARKS):
            raise InputError(
                f"{root}: holds no run of poseact. Name the --out of a finished `poseact analyze`."
            )
    return read_table(root / name, wanted)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Convert so that a column has the same dtype whether or not it holds nulls."""
    nullable = {field.type for field in table.schema if field.nullable}
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda kind: _NULLABLE_DTYPES.get(kind) if kind in nullable else None
    )
    return frame
