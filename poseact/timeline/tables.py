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
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from poseact.errors import InputError
from poseact.foreign import printable
from poseact.remote import RemotePath
from poseact.storage import (
    AnyPath,
    cannot_read,
    cannot_write,
    remove_file,
    to_path,
    write_bytes,
)
from poseact.timeline.schema import (
    SCHEMA_VERSION,
    SEGMENTS,
    VERDICTS,
    VIDEOS,
    actions_of,
    timeline_schema,
)

OutFolder: TypeAlias = str | os.PathLike[str] | RemotePath
"""Folder of a run: a path of this machine, or a location such as ``s3://bucket/out``."""

UNKNOWN_DATE: Final = "unknown"
"""Folder value of a video whose date is unknown; reads back as null. Not Hive's null partition,
on which plain pandas fails (pandas#55400)."""

CAMERA_ID: Final = re.compile(r"[A-Za-z0-9._-]+")

_PARTITIONS: Final = pa.schema([("camera_id", pa.string()), ("date", pa.string())])
_ANEW: Final = "Remove that file and analyze again."
_FILES_AT_ONCE: Final = 100
"""Files that are open at the same time: pyarrow takes 70 KiB for each."""

_First: TypeAlias = tuple[AnyPath, pa.Schema]
"""A file of a table, and its schema."""

_STREAM_ROWS: Final = 4096
_STREAM_BYTES: Final = 1024**2
_SCHEMAS: Final = {"segments": SEGMENTS, "videos": VIDEOS, "verdicts": VERDICTS}
"""That of the timeline depends on the actions."""

_RUN_MARKS: Final = ("run.json", "videos", "timeline")
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


def write_table(path: AnyPath, table: pa.Table) -> AnyPath:
    """Write a Parquet file that appears under its name only when complete.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    write_bytes(path, parquet_bytes(table))
    return path


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """Return the content of a Parquet file."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


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
    return {path.stem: path for path in _files(to_path(out) / "timeline")}


def camera_of(path: AnyPath) -> str:
    """Return the camera in whose folder a file of ``timeline`` or ``segments`` lies."""
    return path.parent.parent.name.removeprefix("camera_id=")


def read_rows(path: AnyPath, columns: Sequence[str]) -> pa.Table:
    """Read columns of one file that ``find_timelines`` found, by frame, then track.

    Raises:
        InputError: If it is damaged, or another version of poseact wrote it.
    """
    with _open_parquet(path) as file:
        _schema_of(path, file.schema_arrow, "timeline")
        return file.read(columns=list(columns))


def open_table(path: AnyPath) -> AbstractContextManager[pq.ParquetFile]:
    """Open one file of a table; InputError if it is damaged or of another version."""
    return _open_parquet(path)


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
    with _open_parquet(path, buffer_size=_STREAM_BYTES) as file:
        _schema_of(path, file.schema_arrow, "timeline")
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
    with _told(root):
        if not any((root / mark).exists() for mark in _RUN_MARKS):
            raise InputError(
                f"{root}: holds no run of poseact. Name the --out of a finished `poseact analyze`."
            )
    folder = root / name
    files = _files(folder)
    partitions = [*_PARTITIONS] if name in ("timeline", "segments") else []
    where = ds.scalar(True)
    for expression in wanted:
        where &= expression
    base = _SCHEMAS.get(name) or timeline_schema(())
    schema = pa.schema([*base, *partitions], metadata=base.metadata)
    first: _First | None = None
    tables = []
    with _told(folder):
        for start in range(0, len(files), _FILES_AT_ONCE):
            dataset = _dataset(files[start : start + _FILES_AT_ONCE], folder, schema)
            fragments = list(dataset.get_fragments(filter=where))
            first = _common_schema(fragments, folder, first)
            if first is not None:
                schema = pa.schema([*first[1], *partitions], metadata=first[1].metadata)
            selected = ds.FileSystemDataset(fragments, schema, dataset.format, dataset.filesystem)
            # a column in a hundred pieces takes many times the memory of one
            tables.append(selected.to_table(filter=where).combine_chunks())
    tables = [table for table in tables if len(table)] or [schema.empty_table()]
    return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)


def _files(folder: AnyPath) -> list[AnyPath]:
    """Return the files of one table by name; what is no file, and links to folders, are not.

    Raises:
        InputError: If the folder cannot be read, or the name of a file is no text.
    """
    with _told(folder):
        found: list[AnyPath] = sorted(folder.rglob("[!.]*.parquet"), key=str)
        files = [path for path in found if isinstance(path, RemotePath) or path.is_file()]
    for path in files:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            name = os.fsencode(str(path)).decode(errors="backslashreplace")
            raise InputError(f"{name}: is not valid UTF-8. Rename or remove it.") from error
    return files


def _dataset(files: Sequence[AnyPath], folder: AnyPath, schema: pa.Schema) -> ds.Dataset:
    partitioning = None
    if "camera_id" in schema.names:
        partitioning = ds.HivePartitioning(_PARTITIONS, null_fallback=UNKNOWN_DATE)
    if isinstance(folder, RemotePath):
        filesystem = folder.filesystem
        names = [path.path_in_store for path in files if isinstance(path, RemotePath)]
        base = folder.path_in_store
    else:
        filesystem, names, base = LocalFileSystem(), [*map(str, files)], str(folder)
    return ds.dataset(
        names,
        schema=schema,
        format="parquet",
        filesystem=filesystem,
        partitioning=partitioning,
        partition_base_dir=base,
    )


@contextmanager
def _told(path: AnyPath) -> Iterator[None]:
    """Tell that a file is damaged, or that a place cannot be read."""
    try:
        yield
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(path, error) from error
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{path}: {reason}. {_ANEW}") from error


def _common_schema(
    fragments: Sequence[ds.Fragment], folder: AnyPath, first: _First | None
) -> _First | None:
    """Return a file of a table, and the schema that it has in common with some others.

    Args:
        fragments: The others.
        folder: Of the table.
        first: What this returned of earlier ones.

    Raises:
        InputError: If one is of another version, has other columns, or knows other actions.
    """
    for fragment in fragments:
        path = _place(fragment, folder)
        found = _schema_of(path, fragment.physical_schema, folder.name)
        first = first or (path, found)
        if found.metadata != first[1].metadata:
            raise InputError(
                f"{path}: knows other actions than {first[0]}. "
                "Analyze all videos of one --out with the same action model; a `poseact rescore` "
                "that was interrupted goes on when it is given again."
            )
    return first


def _place(fragment: ds.Fragment, folder: AnyPath) -> AnyPath:
    """Return the place of a file of a data set, which pyarrow names without its scheme."""
    name = str(fragment.path)
    if isinstance(folder, RemotePath):
        return folder / name.removeprefix(folder.path_in_store)
    return to_path(name)


@contextmanager
def _open_parquet(path: AnyPath, buffer_size: int = 0) -> Iterator[pq.ParquetFile]:
    ask = "Is the store reachable? If so, remove" if isinstance(path, RemotePath) else "Remove"
    try:
        with pq.ParquetFile(
            path.path_in_store if isinstance(path, RemotePath) else path,
            filesystem=path.filesystem if isinstance(path, RemotePath) else None,
            buffer_size=buffer_size,
        ) as file:
            _check_version(path, file.schema_arrow.metadata or {})
            yield file
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: {reason}. {ask} that file and analyze again.") from error


def _check_version(path: AnyPath, metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(b"schema_version", b"none").decode(errors="backslashreplace")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version is {printable(version)[:80]}, this poseact reads "
            f"{SCHEMA_VERSION}. Analyze into a new --out, or read it with the version of poseact "
            "named in run.json."
        )


def _schema_of(path: AnyPath, found: pa.Schema, table: str) -> pa.Schema:
    """Return the schema that a file of a table follows; it may lack columns that may be null.

    Raises:
        InputError: If it is of another version or has other columns.
    """
    _check_version(path, found.metadata or {})
    try:
        expected = _SCHEMAS.get(table) or timeline_schema(actions_of(found))
    except ValueError as error:
        raise InputError(f"{path}: {error}. {_ANEW}") from error
    for field in expected:
        if field.name not in found.names:
            if field.nullable:
                continue
            reason = f"has no column {field.name}"
        elif (kind := found.field(field.name).type) != field.type:
            reason = f"column {field.name} is {printable(str(kind))[:80]}, expected {field.type}"
        else:
            continue
        raise InputError(f"{path}: {reason}. {_ANEW}")
    return expected


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Convert so that a column has the same dtype whether or not it holds nulls."""
    nullable = {field.type for field in table.schema if field.nullable}
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda kind: _NULLABLE_DTYPES.get(kind) if kind in nullable else None
    )
    return frame
