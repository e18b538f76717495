"""Which clips are cut from the same recording, and on which side of a split a recording is."""

import hashlib
import re
from pathlib import Path
from typing import Final

from poseact.errors import InputError

HELD_OUT_ONE_IN: Final = 4

_SALT: Final = "detector:"

_URL = re.compile(r"https?://\S+?([\w-]+)\s*")
_CLIP = re.compile(r"([a-z]+\d+)\s*:.*")
_RANGE = re.compile(r"([a-z]+)(\d+)\s*-\s*\1(\d+)\s*:\s*(.+?)\s*")


def read_recordings(path: Path) -> dict[str, str]:
    """Read which recording each clip is from, in the layout of Surveillance Camera Fight.

    A line with an address starts a recording, and lines ``fi001: START - END`` are its clips; a
    line ``nofi062 - nofi076 : NAME`` gives a whole range to a recording. Some clips are listed
    twice: recordings that share a clip count as one.

    Args:
        path: Text file, such as ``sources.txt``.

    Returns:
        Name of the recording by the stem of the clip's file.

    Raises:
        InputError: If the file cannot be read, or a line is of another form.
    """
    recording_of: dict[str, str] = {}
    for recording, clips in _listed(path):
        same = {recording_of[clip] for clip in clips if clip in recording_of}
        name = min(same, default=recording)
        recording_of |= {clip: name for clip, other in recording_of.items() if other in same}
        recording_of |= dict.fromkeys(clips, name)
    return recording_of


def is_held_out(recording: str) -> bool:
    """Return whether a recording is for measuring rather than training: about one in four.

    It depends on the name alone, so that a new recording moves no other.
    """
    digest = hashlib.sha256(f"{_SALT}{recording}".encode()).hexdigest()
    return int(digest, 16) % HELD_OUT_ONE_IN == 0


def _listed(path: Path) -> list[tuple[str, list[str]]]:
    """Return the recordings with their clips, as they stand in the file."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}.") from error
    listed: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        if address := _URL.fullmatch(line):
            listed.append((address[1], []))
        elif clips := _RANGE.fullmatch(line):
            prefix, first, last, name = clips.groups()
            numbers = range(int(first), int(last) + 1)
            listed.append((name, [f"{prefix}{one:0{len(first)}}" for one in numbers]))
        elif (clip := _CLIP.fullmatch(line)) and listed:
            listed[-1][1].append(clip[1])
        elif line.strip():
            raise InputError(
                f"{path}: line {number}: {line.strip()!r} is neither the address of a recording "
                "nor a clip of one, such as `fi001: 0.13.50 - 0.15.60`."
            )
    return listed
