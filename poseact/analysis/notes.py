"""Notes of attempts in an object store, kept on the machine's own disk.

Nobody can write into a store while dying. So whoever starts an attempt takes its note in a file of
this machine and holds a lock on it, which ends with the process; whoever comes after, on the same
machine, brings the notes of the dead to the store.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from poseact.errors import OutputError
from poseact.remote import RemotePath
from poseact.storage import write_bytes


@contextlib.contextmanager
def open_note(path: RemotePath, content: bytes) -> Iterator[IO[bytes]]:
    """Open the note of an attempt; it is gone when the block is left.

    Args:
        path: The attempt in the store.
        content: What the note holds at first.

    Yields:
        A file without a buffer.

    Raises:
        OutputError: If this machine's folder of temporary files cannot be written.
    """
    folder = _folder()
    place = folder / _name(path)
    try:
        note = _locked(place, content)
    except OSError as error:
        raise _no_folder(folder, error) from error
    with note:
        try:
            yield note
        finally:
            place.unlink(missing_ok=True)


def _locked(place: Path, content: bytes) -> IO[bytes]:
    # `bring_notes` does not look for this name, until it is locked
    descriptor, unlocked = tempfile.mkstemp(prefix=".", dir=place.parent)
    note = os.fdopen(descriptor, "wb", buffering=0)
    try:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.write(content)
        Path(unlocked).replace(place)
    except OSError:
        note.close()
        Path(unlocked).unlink()
        raise
    return note


def bring_notes(root: RemotePath) -> None:
    """Write into the store what those noted who died on this machine.

    Args:
        root: The folder of attempts.

    Raises:
        OSError: If the store cannot be asked.
        OutputError: If the store, or this machine's folder of temporary files, cannot be written.
    """
    for place in _folder().glob(f"{_digest(root)}.*"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), place.open("rb") as note:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it lives
            attempt = root / place.name.partition(".")[2]
            if attempt.exists():  # else the run is over
                write_bytes(attempt, note.read())
            place.unlink(missing_ok=True)


def _name(path: RemotePath) -> str:
    return f"{_digest(path.parent)}.{path.name}"


def _digest(root: RemotePath) -> str:
    return hashlib.sha256(str(root).encode()).hexdigest()[:16]


def _folder() -> Path:
    """Return a folder that is ours alone; what others may write there would be believed."""
    folder = Path(tempfile.gettempdir()) / f"poseact-notes-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise _no_folder(folder, error) from error
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_ours or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(
            f"{folder}: others may write there, or made it. Remove it, or set TMPDIR to a folder "
            "of your own."
        )
    return folder


def _no_folder(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{folder}: cannot be written: {error.strerror}. Free some space, or set TMPDIR to another "
        "folder."
    )
