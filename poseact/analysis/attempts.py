"""Who died at what: one file for each start of a stage that has not come to its end.

    work/.../attempts/<unit>.<stage>.<token>

Whoever starts a stage finds the files of those who died at it before. A process that crashed or
hung says so in its file (see ``poseact.video.watchdog``); one that was killed could not. An object
store learns it when the next attempt starts on the same machine (see ``notes``); until then, and if
none does, the death looks like a kill.
"""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from poseact.analysis.notes import bring_notes, open_note
from poseact.remote import RemotePath
from poseact.storage import AnyPath, cannot_write, remove_file, write_bytes
from poseact.video.find import shown
from poseact.video.watchdog import died_of, watch

MAX_FAULTS: Final = 3
"""Crashes and hangs of a stage, after which it is not started again: the file is the cause."""

MAX_KILLS: Final = 10
"""Kills of a stage in one run, after which it is not started again. They come from outside, and
mostly have other causes; but a file that needs more memory than there is looks just like it."""

_WIDTH: Final = 32
_NO_TIMEOUT_S: Final = 1e8
_DONE: Final = {
    "Crashed": "crashed its process",
    "Hung": "did not come to its end in time",
    "Killed": "was killed, perhaps for memory",
}


@dataclasses.dataclass(frozen=True)
class Poison:
    """Why a unit of work is set aside."""

    error_kind: str
    """``Crashed``, ``Hung`` or ``Killed``."""

    error: str
    """What to tell the user, without the name of the file."""

    last_good_pts_s: float | None
    """Presentation time that was reached, seconds; None if none was."""

    def of_file(self, uri: str) -> dict[str, Any]:
        """Return what a chunk's receipt says about it: fields and their values."""
        return {**dataclasses.asdict(self), "error": f"{shown(uri)}: {self.error}"}


@dataclasses.dataclass(frozen=True)
class _Death:
    kind: str
    reached_s: float | None


class Attempt:
    """A start of a stage."""

    def __init__(self, poison: Poison | None, note: IO[bytes] | None) -> None:
        self.poison = poison
        """Why the stage must not be tried again; None if it may."""
        self._note = note

    def reached(self, pts_s: float) -> None:
        """Note the presentation time that was reached, seconds."""
        if self._note is not None:  # whoever dies writes after it
            os.pwrite(self._note.fileno(), _header(pts_s), 0)


@dataclasses.dataclass(frozen=True)
class Attempts:
    """The folder of attempts of a run."""

    root: AnyPath

    @contextlib.contextmanager
    def start(self, unit: str, stage: str, timeout_s: float = _NO_TIMEOUT_S) -> Iterator[Attempt]:
        """Start a stage; when the block is left, it has ended, and earlier deaths are forgotten.

        Args:
            unit: Chunk or video.
            stage: What is done with it.
            timeout_s: Seconds without ``poseact.video.watchdog.alive`` after which this process
                ends itself.

        Yields:
            The attempt; with ``poison`` set, nothing must be tried.

        Raises:
            OutputError: If the attempt cannot be written down.
        """
        self._bring_notes()
        earlier: list[AnyPath] = [*self.root.glob(f"{unit}.{stage}.*")]
        deaths = [death for path in earlier if (death := _death(path)) is not None]
        path = self.root / f"{unit}.{stage}.{uuid.uuid4().hex}"
        try:
            if poison := _poison(deaths, stage):
                yield Attempt(poison, None)
            else:
                with _new_note(path) as note, watch(note, timeout_s):
                    yield Attempt(None, note)
        finally:
            remove_file(path)
        for died in earlier:
            remove_file(died)

    def forget_kills(self) -> None:
        """Forget who was killed: what ended an earlier run must not be held against its chunks."""
        self._bring_notes()
        for path in self.root.glob("*"):
            death = _death(path)
            if death is not None and death.kind == "Killed":
                remove_file(path)

    def _bring_notes(self) -> None:
        if isinstance(self.root, RemotePath):
            bring_notes(self.root)


@contextlib.contextmanager
def _new_note(path: AnyPath) -> Iterator[IO[bytes]]:
    if isinstance(path, RemotePath):
        write_bytes(path, b"")
        with open_note(path, _header(None)) as note:
            yield note
        return
    try:
        note = path.open("wb", buffering=0)
        note.write(_header(None))
    except OSError as error:
        raise cannot_write(path, error) from error
    with note:
        yield note


def _death(path: AnyPath) -> _Death | None:
    """Read what an attempt left; None if it came to its end by now."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    with contextlib.suppress(ValueError):  # it died before it had written even that
        return _Death(died_of(content[_WIDTH:]), float(content[:_WIDTH].strip()))
    return _Death(died_of(content[_WIDTH:]), None)


def _poison(deaths: Sequence[_Death], stage: str) -> Poison | None:
    faults = [death for death in deaths if death.kind != "Killed"]
    if len(faults) < MAX_FAULTS and len(deaths) < MAX_KILLS:
        return None
    blamed = faults if len(faults) >= MAX_FAULTS else deaths
    # of both kinds of fault always the same one, in whatever order the files are listed
    kind = min(death.kind for death in faults) if blamed is faults else "Killed"
    reached = [death.reached_s for death in deaths if death.reached_s is not None]
    last_good_s = max(reached, default=None)
    where = "" if last_good_s is None else f", last after {last_good_s:.3f} s"
    return Poison(
        kind,
        f"{stage} {_DONE[kind]} each time it was started, {len(blamed)} times{where}. "
        "It is set aside; check the file and the memory.",
        last_good_s,
    )


def _header(reached_s: float | None) -> bytes:
    return f"{'' if reached_s is None else repr(reached_s):<{_WIDTH - 1}}\n".encode()
