"""Ends this process when native code does not come back.

A decoder that hangs in C holds the interpreter, so no Python thread could tell. ``faulthandler``
waits in a thread of its own, in C, and needs nobody's leave to end the process; it also catches the
signals by which a process that crashed dies. Both leave a note.
"""

import contextlib
import faulthandler
import sys
import time
from collections.abc import Iterator
from typing import IO

_REARM_SHARE = 0.25
"""Share of the timeout after which a sign of life is passed on: each takes a new thread."""


class _Watchdog:
    """The watchdog of this process; there is one, as ``faulthandler`` has one."""

    def __init__(self) -> None:
        self._note: IO[bytes] | None = None
        self._timeout_s = 0.0
        self._armed_at = 0.0

    @contextlib.contextmanager
    def watch(self, note: IO[bytes], timeout_s: float) -> Iterator[None]:
        self._note, self._timeout_s = note, timeout_s
        faulthandler.enable(note)
        self._arm()
        try:
            yield
        finally:
            self._note = None
            faulthandler.cancel_dump_traceback_later()
            _restore()

    def alive(self) -> None:
        waited_s = time.monotonic() - self._armed_at
        if self._note is not None and waited_s >= _REARM_SHARE * self._timeout_s:
            self._arm()

    def _arm(self) -> None:
        assert self._note is not None  # noqa: S101 - for the type checker
        self._armed_at = time.monotonic()
        faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._note)


_watchdog = _Watchdog()


def watch(note: IO[bytes], timeout_s: float) -> contextlib.AbstractContextManager[None]:
    """End this process when there is no sign of life for a while; note that, and crashes.

    Args:
        note: File that takes the note; ``died_of`` reads it.
        timeout_s: Seconds without a sign of life; it may be a quarter less.
    """
    return _watchdog.watch(note, timeout_s)


def alive() -> None:
    """Give a sign of life; costs nothing where nobody watches."""
    _watchdog.alive()


def died_of(note: bytes) -> str:
    """Tell from a note how its process died: ``Hung``, ``Crashed``, or ``Killed`` without one."""
    if b"Timeout (" in note:
        return "Hung"
    return "Crashed" if b"Fatal Python error" in note else "Killed"


def _restore() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no real standard error
        faulthandler.enable(sys.stderr)
