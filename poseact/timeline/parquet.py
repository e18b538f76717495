"""Parquet files of a run: written whole, and checked when they are read.

A file that is damaged, of another version or with other columns is told by its name.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from poseact.errors import InputError
from poseact.foreign import printable
from poseact.remote import RemotePath
from poseact.storage import AnyPath, cannot_read, cannot_write, to_path, write_bytes
from poseact.timeline.schema import (
    SCHEMA_VERSION,
    SEGMENTS,
    VERDICTS,
    VIDEOS,
    actions_of,
    timeline_schema,
)

UNKNOWN_DATE: Final = "unknown"
"""Folder value of a video whose date is unknown; reads back as null. Not Hive's null partition,
on which plain pandas fails (pandas#55400)."""

_PARTITIONS: Final = pa.schema([("camera_id", pa.string()), ("date", pa.string())])
_SCHEMAS: Final = {"segments": SEGMENTS, "videos": VIDEOS, "verdicts": VERDICTS}
"""That of the timeline depends on the actions."""

_FILES_AT_ONCE: Final = 100
"""Files that are open at the same time: pyarrow takes 70 KiB for each."""

_ANEW: Final = "Remove that file and analyze again."


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


def find_files(folder: AnyPath) -> list[AnyPath]:
    """Return the files of one table by name; what is no file, and links to folders, are not.

    Raises:
        InputError: If the folder cannot be read, or the name of a file is no text.
    """
    with told(folder):
        found: list[AnyPath] = sorted(folder.rglob("[!.]*.parquet"), key=str)
        files = [path for path in found if isinstance(path, RemotePath) or path.is_file()]
    for path in files:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            name = os.fsencode(str(path)).decode(errors="backslashreplace")
            raise InputError(f"{name}: is not valid UTF-8. Rename or remove it.") from error
    return files


@contextmanager
def open_file(path: AnyPath, buffer_size: int = 0) -> Iterator[pq.ParquetFile]:
    """Open one file of a table.

    Args:
        path: The file.
        buffer_size: With one, a column is read page by page and not at once; bytes.

    Raises:
        InputError: If it is damaged, then or while it is read, or of another version.
    """
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


@contextmanager
def open_timeline(path: AnyPath, buffer_size: int = 0) -> Iterator[pq.ParquetFile]:
    """Open one file of the timeline; as ``open_file``, and InputError if its columns are others."""
    with open_file(path, buffer_size) as file:
        _schema_of(path, file.schema_arrow, "timeline")
        yield file


def read_table(folder: AnyPath, wanted: Sequence[ds.Expression]) -> pa.Table:
    """Read the rows of one table for which every wanted expression holds.

    Args:
        folder: ``OUT/timeline``, ``segments``, ``videos`` or ``verdicts``.
        wanted: Conditions on columns.

    Returns:
        Its columns, then ``camera_id`` and ``date`` if it is kept by camera and date.

    Raises:
        InputError: If a file is damaged, of another version, or has other columns or actions.
    """
    files = find_files(folder)
    partitions = [*_PARTITIONS] if folder.name in ("timeline", "segments") else []
    where = ds.scalar(True)
    for expression in wanted:
        where &= expression
    base = _SCHEMAS.get(folder.name) or timeline_schema(())
    schema = pa.schema([*base, *partitions], metadata=base.metadata)
    first: tuple[AnyPath, pa.Schema] | None = None
    tables = []
    with told(folder):
        for start in range(0, len(files), _FILES_AT_ONCE):
            dataset = _dataset(files[start : start + _FILES_AT_ONCE], folder, schema)
            fragments = list(dataset.get_fragments(filter=where))
            for fragment in fragments:
                path = _place(fragment, folder)
                found = _schema_of(path, fragment.physical_schema, folder.name)
                first = first or (path, found)
                _check_actions(path, found, *first)
            if first is not None:
                schema = pa.schema([*first[1], *partitions], metadata=first[1].metadata)
            selected = ds.FileSystemDataset(fragments, schema, dataset.format, dataset.filesystem)
            # a column in a hundred pieces takes many times the memory of one
            tables.append(selected.to_table(filter=where).combine_chunks())
    tables = [table for table in tables if len(table)] or [schema.empty_table()]
    return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)


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


def _place(fragment: ds.Fragment, folder: AnyPath) -> AnyPath:
    """Return the place of a file of a data set, which pyarrow names without its scheme."""
    name = str(fragment.path)
    if isinstance(folder, RemotePath):
        return folder / name.removeprefix(folder.path_in_store)
    return to_path(name)


@contextmanager
def told(path: AnyPath) -> Iterator[None]:
    """Tell that a file is damaged, or that a place cannot be read."""
    try:
        yield
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_read(path, error) from error
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{path}: {reason}. {_ANEW}") from error


def _check_version(path: AnyPath, metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(b"schema_version", b"none").decode(errors="backslashreplace")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version is {printable(version)[:80]}, this poseact reads "
            f"{SCHEMA_VERSION}. Analyze into a new --out, or read it with the version of poseact "
            "named in run.json."
        )


def _check_actions(path: AnyPath, found: pa.Schema, first: AnyPath, expected: pa.Schema) -> None:
    if found.metadata != expected.metadata:
        raise InputError(
            f"{path}: knows other actions than {first}. "
            "Analyze all videos of one --out with the same action model; a `poseact rescore` "
            "that was interrupted goes on when it is given again."
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
