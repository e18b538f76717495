"""Places in object stores and on other file systems, with the methods of ``pathlib.Path``.

What follows the scheme is taken as it stands: a space, ``%``, ``#`` or ``?`` in a key is written
as itself, as the command lines of the stores do.
"""

import contextlib
import dataclasses
import errno
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Final

from poseact.errors import ConfigError
from poseact.stores import Store, check_scheme, connect

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)/*(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class RemoteStat:
    """Size and age of a file, named as by ``os.stat``."""

    st_size: int
    st_mtime_ns: int
    """Nanoseconds since 1970, UTC; 0 where the store does not tell."""


@dataclasses.dataclass(frozen=True, order=True)
class RemotePath:
    """A place in a store, named by a URI such as ``s3://bucket/folder/file``.

    It carries names alone, so it can be sent to other processes; each of them connects to the store
    when it first needs to. It is no ``os.PathLike``: what opens files of this machine only must not
    take it for one.

    Errors of the store are OSErrors with its words in ``strerror``.
    """

    scheme: str
    authority: str
    """Bucket or host; may be empty."""

    key: str
    """What follows, without a slash at either end; empty at the root."""

    @staticmethod
    def from_uri(uri: str) -> "RemotePath":
        """Return the place that a URI names.

        Raises:
            ConfigError: If it is no URI, names no bucket, or the kind of store is not known here.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise ConfigError(f"{uri}: is no location in a store. Write it as s3://bucket/folder.")
        scheme, authority, key = match.groups()
        scheme = {"gcs": "gs"}.get(scheme.lower(), scheme.lower())
        check_scheme(scheme, authority, uri)
        key = key.rstrip("/")
        if key and not {"", ".", ".."}.isdisjoint(key.split("/")):
            raise ConfigError(f"{uri}: write it without `//`, `/./` and `/../`.")
        return RemotePath(scheme, authority, key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}/{self.key}".rstrip("/")

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __truediv__(self, other: str | PurePosixPath) -> "RemotePath":
        parts = [part for part in str(other).split("/") if part]
        return dataclasses.replace(self, key="/".join([*self._parts, *parts]))

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(self.key.split("/")) if self.key else ()

    @property
    def name(self) -> str:
        """Last part of the key; empty at the root."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot; empty if it has none."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """The folder that this place is in; the root is in itself."""
        return dataclasses.replace(self, key=self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "RemotePath":
        """Return the place of that name in the same folder; ValueError at the root."""
        if not self.key or not name or "/" in name:
            raise ValueError(f"{self} cannot be named {name!r}")
        return self.parent / name

    def with_suffix(self, suffix: str) -> "RemotePath":
        """Return the place whose name ends otherwise; ValueError at the root."""
        return self.with_name(self.stem + suffix)

    def relative_to(self, other: "RemotePath") -> PurePosixPath:
        """Return the way from a folder to this place; ValueError if it is not in that folder."""
        if (self.scheme, self.authority) != (other.scheme, other.authority):
            raise ValueError(f"{self} is not in {other}")
        return PurePosixPath(self.key).relative_to(other.key)

    @property
    def filesystem(self) -> Any:  # noqa: ANN401 - pyarrow ships no types
        """The ``pyarrow.fs.FileSystem`` of the store, one for all its places in this process.

        Raises:
            ConfigError: If a setting in the environment is wrong.
            OSError: If the region of the bucket cannot be found out.
        """
        return self._store.filesystem

    @property
    def path_in_store(self) -> str:
        """Name of this place in ``filesystem``."""
        return self._store.path(self.key)

    @property
    def _store(self) -> Store:
        with self._errors():
            return connect(self.scheme, self.authority)

    def exists(self) -> bool:
        """Tell whether there is a file, or a folder that holds something."""
        from pyarrow.fs import FileType

        return bool(self._info().type != FileType.NotFound)

    def is_file(self) -> bool:
        """Tell whether there is a file."""
        return bool(self._info().is_file)

    def is_dir(self) -> bool:
        """Tell whether there is a folder; one that is empty may be none."""
        from pyarrow.fs import FileType

        return bool(self._info().type == FileType.Directory)

    def stat(self) -> RemoteStat:
        """Return size and age; FileNotFoundError if there is nothing."""
        from pyarrow.fs import FileType

        info = self._info()
        if info.type == FileType.NotFound:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return RemoteStat(info.size or 0, info.mtime_ns or self._store.mtime_ns(self.path_in_store))

    def open(self, mode: str = "rb") -> Any:  # noqa: ANN401 - pyarrow ships no types
        """Open the file for reading: a seekable ``pyarrow.NativeFile`` that fetches what is read.

        Each read is a request, so whoever reads little at a time should buffer it.

        Raises:
            FileNotFoundError: If there is no file.
            OSError: If the store does not give it.
            ValueError: If it is to be opened for anything but reading bytes.
        """
        if mode != "rb":
            raise ValueError(f"mode must be 'rb', got {mode!r}; write_bytes writes")
        with self._errors():
            return self.filesystem.open_input_file(self.path_in_store)

    def read_bytes(self) -> bytes:
        """Return the content; FileNotFoundError if there is no file."""
        with self.open() as file, self._errors():
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text; FileNotFoundError if there is no file."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> int:
        """Write a file that appears under its name only when complete; return its size.

        What S3 takes in one request is one request. Anything else goes to a hidden name, which
        readers of data sets skip, and is moved within the store.

        Raises:
            OSError: If it cannot be written; what was under the name before is there still.
        """
        with self._errors():
            if len(content) <= self._store.put_bytes:
                _upload(self, content)
            else:
                _upload_and_move(self, content)
        return len(content)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the file; FileNotFoundError if there is none, unless that is fine."""
        with self._errors():
            try:
                self._store.remove_file(self.path_in_store)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder where the store knows folders; in an object store there is nothing to do.

        Raises:
            FileExistsError: If it exists, unless that is fine.
            OSError: If it cannot be made.
        """
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        if self._store.has_folders:
            with self._errors():
                self.filesystem.create_dir(self.path_in_store, recursive=parents)

    def iterdir(self) -> Iterator["RemotePath"]:
        """Yield what is in the folder, by name; nothing if it does not exist."""
        return self.glob("*")

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yield the files and folders whose way from here matches, by name.

        ``**`` stands for any number of folders; nothing matches where there is no folder.
        """
        patterns = pattern.split("/")
        found = self._below(recursive=len(patterns) > 1 or "**" in patterns)
        for path in sorted(found):
            if _matches(path._parts[len(self._parts) :], patterns):  # noqa: SLF001 - our own
                yield path

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yield the files and folders at any depth whose last parts match, by name."""
        return self.glob(f"**/{pattern}")

    def remove_tree(self) -> None:
        """Remove the folder and all that it holds, if it is there.

        Raises:
            OSError: If something cannot be removed.
            ValueError: If this is the root of the store.
        """
        if not self.key:
            raise ValueError(f"{self} is a whole store")
        with self._errors(), contextlib.suppress(FileNotFoundError):
            self._store.remove_folder(self.path_in_store)

    def _info(self) -> Any:  # noqa: ANN401 - pyarrow ships no types
        with self._errors():
            self._store.forget_listings()
            return self.filesystem.get_file_info(self.path_in_store)

    def _below(self, *, recursive: bool) -> Iterator["RemotePath"]:
        from pyarrow.fs import FileSelector

        base = self.path_in_store
        where = FileSelector(base, allow_not_found=True, recursive=recursive)
        with self._errors():
            self._store.forget_listings()
            entries = self.filesystem.get_file_info(where)
        for entry in entries:
            yield self / entry.path.removeprefix(base)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell every error of the store as an OSError that has a reason and a place."""
        import pyarrow as pa

        try:
            yield
        except OSError as error:
            if error.strerror and error.filename == str(self):
                raise
            raise _told(error, self) from error
        except (pa.ArrowException, NotImplementedError) as error:
            raise _told(error, self) from error


def _upload(path: RemotePath, content: bytes) -> None:
    with path.filesystem.open_output_stream(path.path_in_store) as stream:
        stream.write(content)


def _upload_and_move(path: RemotePath, content: bytes) -> None:
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        _upload(hidden, content)
        # pyarrow completes an upload of which a part was refused
        if hidden.stat().st_size == len(content):
            connect(path.scheme, path.authority).move(hidden.path_in_store, path.path_in_store)
            return
    except BaseException:
        _discard(hidden)
        raise
    _discard(hidden)
    raise OSError(errno.EIO, "the store did not keep all that was sent", str(path))


def _discard(path: RemotePath) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Tell whether the parts of a key match those of a pattern, ``**`` being any number of them."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_matches(parts[i:], patterns[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def _told(error: Exception, path: RemotePath) -> OSError:
    """Return the error of a place with the store's words in one line."""
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    kinds = {FileNotFoundError: errno.ENOENT, FileExistsError: errno.EEXIST}
    number = getattr(error, "errno", None) or kinds.get(type(error), errno.EIO)
    if "ACCESS_DENIED" in words:
        number = errno.EACCES
        if path.scheme == "s3" and not os.environ.get("AWS_ACCESS_KEY_ID"):
            words += "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
    return OSError(number, words, str(path))
