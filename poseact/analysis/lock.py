"""``lock.json``: at most one run at a time writes into a folder of results.

The owner renews the lock every few seconds. One whose process is known to be dead, or that was not
renewed for a minute, is taken over, so whoever is killed can be started again at once on the same
machine, and after a minute and a half on another.
"""

import contextlib
import dataclasses
import errno
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from poseact.errors import OutputError
from poseact.storage import AnyPath, cannot_write, remove_file, write_text

LOCK_FILE: Final = "lock.json"

RENEW_S: Final = 10.0
"""Time between two renewals."""

STALE_S: Final = 60.0
"""Age from which a lock that nobody renewed is taken over."""

_LOOK_S: Final = 2.5 * RENEW_S
"""How long an old lock is looked at before it is taken: the clock of its machine may be wrong."""

_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems answer that have no hard links, such as mounted object stores."""

_SETTLE_S: Final = 1.0
"""In a store, two may write at once; after this time both see who came last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Owner:
    """Who holds a lock."""

    holder_id: str
    host: str
    namespace: str
    pid: int
    process_started: float
    """Seconds after boot: a process id may be given again, but not with this."""
    since: str
    renewed: str

    @staticmethod
    def me() -> "_Owner":
        now = _now()
        return _Owner(
            holder_id=uuid.uuid4().hex,
            host=socket.gethostname(),
            namespace=_namespace(),
            pid=os.getpid(),
            process_started=_started_s(psutil.Process()),
            since=now,
            renewed=now,
        )

    def age_s(self) -> float:
        return (datetime.now(UTC) - datetime.fromisoformat(self.renewed)).total_seconds()

    def is_dead(self) -> bool:
        """Tell whether the process is known to have ended."""
        if (self.host, self.namespace) != (socket.gethostname(), _namespace()):
            return False
        try:
            process = psutil.Process(self.pid)
            # a killed process that its parent has not asked after still has its number
            is_left = process.status() == psutil.STATUS_ZOMBIE
            return is_left or _started_s(process) != self.process_started
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class Lock:
    """A lock that this process holds."""

    def __init__(self, path: AnyPath, owner: _Owner) -> None:
        self._path = path
        self._owner = owner

    def require(self) -> None:
        """Raise OutputError if another run took the lock, or it is gone."""
        try:
            holder = _read(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        if holder is None or holder.holder_id != self._owner.holder_id:
            by = f"now held by {holder}" if holder else "gone"
            raise OutputError(
                f"{self._path}: the lock of this run is {by}. Was the folder removed, or this "
                "process asleep for a minute? Give the same command again when no other run is "
                "at it."
            )

    def renew(self) -> None:
        """Say that the owner is alive; another's lock stays as it is."""
        with contextlib.suppress(OutputError):  # told by whoever calls `require`
            self.require()
            self._owner = dataclasses.replace(self._owner, renewed=_now())
            write_text(self._path, _text(self._owner))

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        with contextlib.suppress(OutputError):  # it falls when this process ends
            self.require()
            remove_file(self._path)


@contextlib.contextmanager
def hold_lock(out: AnyPath) -> Iterator[Lock]:
    """Hold the lock on a folder of results.

    Raises:
        OutputError: If another run holds it, or the folder cannot be written.
    """
    path = out / LOCK_FILE
    lock = Lock(path, _acquired(path))
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.wait(RENEW_S):
            lock.renew()

    renewer = threading.Thread(target=renew, name="lock", daemon=True)
    renewer.start()
    try:
        yield lock
    finally:
        stopped.set()
        renewer.join()
        lock.release()


def _acquired(path: AnyPath) -> _Owner:
    me = _Owner.me()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _created(path, me):
            holder = _read(path)
            if holder is not None:
                _require_dead(path, holder)
            _remove(path, holder)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    return me


def _created(path: AnyPath, me: _Owner) -> bool:
    """Write the lock unless there is one."""
    if not isinstance(path, Path):
        if path.exists():
            return False
        write_text(path, _text(me))
        time.sleep(_SETTLE_S)
        holder = _read(path)
        return holder is not None and holder.holder_id == me.holder_id
    unfinished = path.with_name(f".{path.name}.{me.holder_id}.tmp")
    try:
        unfinished.write_text(_text(me))
        os.link(unfinished, path)  # unlike a rename, it fails if there is one
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _created_without_link(path, me)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _created_without_link(path: Path, me: _Owner) -> bool:
    """Write the lock where there are no links; half written, it counts as nobody's."""
    try:
        with path.open("x") as file:
            file.write(_text(me))
    except FileExistsError:
        return False
    return True


def _remove(path: AnyPath, holder: _Owner | None) -> None:
    """Remove a dead owner's lock, or one that is damaged; not one that somebody just took."""
    if not isinstance(path, Path):
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    removed = _read(aside)
    if removed is not None and (holder is None or removed.holder_id != holder.holder_id):
        with contextlib.suppress(OSError):
            os.link(aside, path)
    aside.unlink()


def _require_dead(path: AnyPath, holder: _Owner) -> None:
    if holder.is_dead():
        return
    if holder.age_s() > STALE_S:
        print(f"looking for {_LOOK_S:.0f} s whether {holder} is alive", file=sys.stderr)
        time.sleep(_LOOK_S)
        if _read(path) in (holder, None):
            return
    raise OutputError(
        f"{path.parent}: another run writes into this folder ({holder}; last sign of life "
        f"{max(holder.age_s(), 0):.0f} s ago). Wait until it ends, or choose another --out; if it "
        f"was killed, its lock falls after {STALE_S:.0f} s without a sign of life."
    )


def _read(path: AnyPath) -> _Owner | None:
    """Return who holds a lock; None if nobody does, or it cannot be understood."""
    try:
        fields: Any = json.loads(path.read_text())
        owner = _Owner(**fields)
        owner.age_s()
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return owner


def _text(owner: _Owner) -> str:
    return json.dumps(dataclasses.asdict(owner), indent=2) + "\n"


def _started_s(process: psutil.Process) -> float:
    """Return when a process started, seconds after boot: setting the clock does not change that."""
    return float(round(process.create_time() - psutil.boot_time(), 2))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _namespace() -> str:
    """Tell apart the containers of a machine, and its boots: both number processes anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return ""
