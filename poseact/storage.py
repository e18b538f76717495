"""Where files are: folders of this machine, and object stores.

A file appears under its name only when complete, and is on the disk before its name is.
"""

import contextlib
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import TypeAlias

from poseact.errors import InputError, OutputError
from poseact.remote import RemotePath

AnyPath: TypeAlias = Path | RemotePath
"""A place on this machine or in a store; both have the same methods as far as we use them."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_remote(location: object) -> bool:
    """Tell whether a location, as the user wrote it, names a store."""
    return isinstance(location, RemotePath) or bool(_SCHEME.match(str(location)))


def to_path(location: str | os.PathLike[str] | RemotePath) -> AnyPath:
    """Return the place that a location names, absolute.

    Raises:
        ConfigError: If it names a store of a kind that is not known here.
    """
    if isinstance(location, RemotePath):
        return location
    if is_remote(location):
        return RemotePath.from_uri(str(location))
    return Path(location).absolute()


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Write a file that appears under its name only when complete.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        if isinstance(path, RemotePath):
            path.write_bytes(content)
        else:
            _write_local(path, content)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_text(path: AnyPath, text: str) -> None:
    """Write a text file in UTF-8 as ``write_bytes`` does; OutputError if it cannot be written."""
    write_bytes(path, text.encode())


def remove_file(path: AnyPath) -> None:
    """Remove a file, if it is there; OutputError if it cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def remove_tree(path: AnyPath) -> None:
    """Remove a folder and what it holds, if it is there; OutputError if it cannot be removed."""
    try:
        if isinstance(path, RemotePath):
            path.remove_tree()
        else:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: AnyPath, error: OSError) -> OutputError:
    """Return the error for a place that cannot be written."""
    advice = (
        "Is the store reachable, and may it be written to?"
        if isinstance(path, RemotePath)
        else "Free some space or choose another --out."
    )
    return OutputError(f"{path}: cannot be written: {_reason(error)}. {advice}")


def cannot_read(path: AnyPath, error: OSError) -> InputError:
    """Return the error for a place that cannot be read."""
    advice = (
        "Is the store reachable, and may it be read?"
        if isinstance(path, RemotePath)
        else "Is the disk there, and may you read it?"
    )
    return InputError(f"{path}: cannot be read: {_reason(error)}. {advice}")


def _reason(error: OSError) -> str:
    return " ".join((error.strerror or str(error)).split()).rstrip(".")


def _write_local(path: Path, content: bytes) -> None:
    # readers of data sets skip names that start with a dot
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk; some file systems, such as NFS, have no need to."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
