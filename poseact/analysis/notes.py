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
def open_note(path: RemotePath) -> Iterator[IO[bytes]]:
    """Open the note of an attempt; it is gone when the block is left.

    Args:
        path: The attempt in the store.

    Yields:
        A file without a buffer.

    Raises:
        OSError: If it cannot be written.
        OutputError: If somebody else made the folder of the notes.
    """
    # a name that `bring_notes` does not look for, until it is locked
    with tempfile.NamedTemporaryFile(prefix=".", dir=_folder(), buffering=0, delete=False) as note:
        place = Path(note.name)
        try:
            fcntl.flock(note, fcntl.LOCK_EX)
            place = place.replace(place.with_name(_name(path)))
            yield note
        finally:
            place.unlink(missing_ok=True)


def bring_notes(root: RemotePath) -> None:
    """Write into the store what those noted who died on this machine.

    Args:
        root: The folder of attempts.

    Raises:
        OSError: If the store cannot be asked.
        OutputError: If the store cannot be written, or somebody else made the folder of the notes.
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
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_ours or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(
            f"{folder}: others may write there, or made it. Remove it, or set TMPDIR to a folder "
            "of your own."
        )
    return folder
