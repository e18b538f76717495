"""Recordings on disk and in stores: which there are, and what their names tell."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from poseact.errors import InputError
from poseact.storage import AnyPath, is_remote, to_path

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Endings that make a file inside a folder a recording."""

_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")

_GLOB = re.compile(r"[*?\[]")

_LONGEST_CAMERA = 200
"""Characters; the name of a folder may have 255, and a partition's is longer than the camera's."""

_FIRST_YEAR, _LAST_YEAR = 1970, 2200
"""Clocks outside of these years were never set, or their field is damaged. Times counted from
there stay within what tables hold, whatever the frames add to them."""


def find_videos(patterns: Sequence[str]) -> list[str]:
    r"""List the recordings that a user named.

    A link to a folder is searched too, after the folders proper, and no folder twice. What cannot
    be analysed is listed all the same, so that probing it says why: a folder that may not be
    read, and a file whose name is not UTF-8, which has its odd bytes escaped (``\xe9``).

    Args:
        patterns: Files, folders or globs, here or in a store (``s3://bucket/folder``). A folder
            stands for every file with a video ending in it and below, hidden ones excepted; a
            glob for what it matches, as if the shell had expanded it. A file that is named, or
            matched, counts whatever its ending.

    Returns:
        Absolute paths and URIs, sorted, each once; all of them can be encoded as UTF-8.

    Raises:
        InputError: If a path does not exist, a glob matches nothing or a folder holds no video.
    """
    found = {video for pattern in patterns for video in _expand(pattern)}
    return sorted(_escaped(video) for video in found)


def _expand(pattern: str) -> list[str]:
    if is_remote(pattern):
        return _expand_remote(pattern)
    if os.path.lexists(pattern):
        return _videos_at(pattern)
    # `a/**` is the folder `a` and all below it
    matches = list(_matches(re.sub(r"(^|/)\*\*$", r"\1./", pattern), ""))
    if not matches:
        raise _nothing_at(pattern)
    return [video for match in matches for video in _videos_at(match)]


def _matches(pattern: str, top: str) -> Iterator[str]:
    """Yield what a glob matches; unlike Python's, ``**`` searches a folder behind links once."""
    head, *tail = re.split(r"(?:^|(?<=/))\*\*/", pattern, maxsplit=1)
    matches = [*_glob(head, top), *_unreadable(head, top)] if head else [""]
    for match in matches:
        place = os.path.join(top, match)  # noqa: PTH118 - a Path would lose a leading "./"
        if not tail:
            yield place
            continue
        for folder, is_readable in _folders(place or "."):
            yield from _matches(tail[0], folder) if is_readable else (folder,)


def _glob(pattern: str, top: str) -> list[str]:
    return glob.glob(pattern, root_dir=top or None)  # noqa: PTH207 - relative ones, too


def _unreadable(pattern: str, top: str) -> Iterator[str]:
    """Yield the folders in which a glob had to search and could not; Python's passes over them."""
    parts = pattern.split("/")
    for number in range(1, len(parts)):
        if not _GLOB.search(parts[number]):
            continue
        for folder in _glob("/".join(parts[:number]) + "/", top):
            try:
                os.scandir(os.path.join(top, folder)).close()  # noqa: PTH118 - as below
            except OSError:
                yield folder


def _folders(top: str) -> Iterator[tuple[str, bool]]:
    """Yield a folder and those below, and whether each can be read; linked ones come last."""
    waiting, linked = [top], list[str]()
    seen = set[tuple[int, int]]()
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.pop(0)
        try:
            status = os.stat(folder)  # noqa: PTH116 - as below
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                below = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            yield folder, False
            continue
        yield folder, True
        below.sort(key=lambda entry: entry.name)
        waiting += [entry.path for entry in below if entry.is_dir(follow_symlinks=False)]
        linked += [entry.path for entry in below if entry.is_symlink() and os.path.isdir(entry)]  # noqa: PTH112 - a link to itself is none


def _videos_at(location: str) -> list[str]:
    path = absolute_path(location)
    if not os.path.isdir(path):  # noqa: PTH112 - names need not be UTF-8
        return [path]
    videos: list[str] = []
    for folder, is_readable in _folders(path):
        videos += _recordings_in(folder) if is_readable else [folder]
    if not videos:
        raise _no_video_in(path)
    return videos


def _recordings_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if not os.path.isdir(entry)]  # noqa: PTH112 - as above
    return [entry.path for entry in files if _is_recording(entry.name)]


def _is_recording(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def _expand_remote(pattern: str) -> list[str]:
    place = to_path(pattern)
    try:
        if place.exists():
            return _videos_at_remote(place)
        matches = [] if not _GLOB.search(pattern) else _remote_matches(pattern)
        if not matches:
            raise _nothing_at(pattern)
        return [video for match in matches for video in _videos_at_remote(match)]
    except OSError as error:
        raise InputError(
            f"{shown(pattern)}: its store cannot be searched ({error.strerror or error})"
        ) from error


def _remote_matches(pattern: str) -> list[AnyPath]:
    literal = re.split(_GLOB, pattern, maxsplit=1)[0].rpartition("/")[0]
    rest = pattern[len(literal) + 1 :]
    top = to_path(literal)
    return [match for match in top.glob(rest) if not _is_hidden(str(match), str(top))]


def _videos_at_remote(place: AnyPath) -> list[str]:
    if place.is_file():
        return [str(place)]
    videos = [str(file) for file in place.rglob("*") if _is_recording(file.name)]
    videos = [video for video in videos if not _is_hidden(video, str(place))]
    if not videos:
        raise _no_video_in(str(place))
    return videos


def _is_hidden(uri: str, top: str) -> bool:
    return any(part.startswith(".") for part in uri.removeprefix(top).split("/"))


def _nothing_at(pattern: str) -> InputError:
    return InputError(f"{shown(pattern)}: no such file or folder; name a video, a folder or a glob")


def _no_video_in(folder: str) -> InputError:
    endings = " ".join(sorted(VIDEO_SUFFIXES))
    return InputError(f"{shown(folder)}: no video in this folder; looked for {endings}")


def absolute_path(location: str) -> str:
    """Return a path from the root, without ``..``; links keep their names, URIs are left alone."""
    if is_remote(location):
        return location
    return os.path.abspath(location)  # noqa: PTH100 - resolve() would follow links


def shown(name: str) -> str:
    """Return a name for a message: control characters, which could end its line, are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in _escaped(name))


def file_that_is_not_utf8(uri: str) -> bool:
    """Tell whether ``find_videos`` escaped the name of a file to get this one."""
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda hit: bytes.fromhex(hit[1].decode()), uri.encode())
    return _escaped(os.fsdecode(raw)) == uri != os.fsdecode(raw) and os.path.lexists(raw)


def _escaped(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def start_in_name(uri: str) -> datetime | None:
    """Return the start time (UTC) in a name such as ``gate_20240131T235959Z.mp4``, if any."""
    stamp = _TIMESTAMP.search(Path(uri).stem)
    if stamp is None:
        return None
    try:
        moment = datetime.strptime(stamp.group(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # digits that are no date, such as month 13
        return None
    return credible(moment)


def credible(moment: datetime) -> datetime | None:
    """Return a moment in UTC, or None if no camera can have recorded then."""
    try:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:  # at the ends of the calendar
        return None
    return moment if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def camera_in_name(uri: str) -> str | None:
    """Return the camera that recorded a file.

    It is what stands before the start time in ``<camera>_<YYYYMMDDTHHMMSSZ>.mp4`` (or with ``-``),
    else the name of the folder that holds the file. Characters other than ``A-Z a-z 0-9 . _ -``
    become ``-``, and of a long name its beginning is taken, so that the result can name a
    partition.
    """
    path = Path(uri)
    camera = ""
    if start_in_name(uri) is not None:
        camera = _sanitised(_TIMESTAMP.split(path.stem)[0])
    return camera or _sanitised(path.parent.name) or None


def _sanitised(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-_.")[:_LONGEST_CAMERA].rstrip("-_.")
