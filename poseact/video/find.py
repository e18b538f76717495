"""Recordings on disk: which files there are, and what their names say about camera and time."""

import glob
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from poseact.errors import InputError

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Endings that make a file inside a folder a recording."""

_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")


def find_videos(patterns: Sequence[str]) -> list[str]:
    """List the recordings that a user named.

    Args:
        patterns: Files, folders or globs. A folder stands for every file with a video ending in
            it and below, hidden ones excepted; a glob for what it matches, as if the shell had
            expanded it. A file that is named, or matched, counts whatever its ending.

    Returns:
        Absolute paths, sorted, each once.

    Raises:
        InputError: If a path does not exist, a glob matches nothing or a folder holds no video.
    """
    found = {video for pattern in patterns for video in _expand(pattern)}
    return sorted(found)


def _expand(pattern: str) -> list[str]:
    if os.path.lexists(pattern):
        return _videos_at(pattern)
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - relative, absolute, `**` alike
    if not matches:
        raise InputError(f"{pattern}: no such file or folder; name a video, a folder or a glob")
    return [video for match in matches for video in _videos_at(match)]


def _videos_at(location: str) -> list[str]:
    path = Path(absolute_path(location))
    if not path.is_dir():
        return [str(path)]
    videos = [str(file) for file in path.rglob("*") if _is_recording(file.relative_to(path))]
    if not videos:
        endings = " ".join(sorted(VIDEO_SUFFIXES))
        raise InputError(f"{path}: no video in this folder; looked for {endings}")
    return videos


def _is_recording(file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.parts)
    return file.suffix.lower() in VIDEO_SUFFIXES and not hidden


def absolute_path(location: str) -> str:
    """Return a path from the root, without ``..``; symbolic links keep their names."""
    return os.path.abspath(location)  # noqa: PTH100 - resolve() would follow links


def start_in_name(uri: str) -> datetime | None:
    """Return the start time (UTC) in a name such as ``gate_20240131T235959Z.mp4``, if any."""
    stamp = _TIMESTAMP.search(Path(uri).stem)
    if stamp is None:
        return None
    try:
        return datetime.strptime(stamp.group(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # digits that are no date, such as month 13
        return None


def camera_in_name(uri: str) -> str | None:
    """Return the camera that recorded a file.

    It is what stands before the start time in ``<camera>_<YYYYMMDDTHHMMSSZ>.mp4`` (or with ``-``),
    else the name of the folder that holds the file. Characters other than ``A-Z a-z 0-9 . _ -``
    become ``-``, so that the result can name a partition.
    """
    path = Path(uri)
    camera = ""
    if start_in_name(uri) is not None:
        camera = _sanitised(_TIMESTAMP.split(path.stem)[0])
    return camera or _sanitised(path.parent.name) or None


def _sanitised(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-_.")
