"""What others wrote: text that must not steer a terminal, files that must not be waited for."""

import errno
import stat
from pathlib import Path
from typing import Final

_LONGEST: Final = 120
"""Characters of a foreign value that a message shows."""


def printable(text: str) -> str:
    """Escape what would break a line, steer a terminal or turn the direction of writing.

    Returns:
        The text; each character that Python calls unprintable as it stands in a Python string.
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write numbers of more than 4300 digits
        return "a number too long to show"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """Read a regular file: a pipe would be waited for, a device may have no end.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger than ``max_bytes``.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes:,} bytes", str(path))
    return content
