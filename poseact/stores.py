"""Connections to object stores and other file systems, made from a URI and the environment.

``s3://`` and ``gs://`` go through pyarrow's own file systems, every other scheme through fsspec.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any, Final

from poseact.errors import ConfigError

OBJECT_STORES: Final = ("s3", "gs")
"""Schemes of stores that have a bucket, and no folders but what the names of objects tell."""

_S3_PUT_BYTES: Final = 8 * 1024**2
"""Content that pyarrow sends to S3 as one request; above 10 MiB it makes a multipart upload, which
it completes even if a part was refused."""

_CONNECT_TIMEOUT_S: Final = 2.0
_REQUEST_TIMEOUT_S: Final = 3.0
_ATTEMPTS: Final = 3
"""A store that refuses connections is told after 2 s, one that accepts and is silent after 10 s
(reading) or 30 s (writing: curl looks at the mean speed of some seconds, its own sending too)."""

_MISSING: Final = "{uri}: {scheme}:// needs a package that is not here ({error})."
_UNKNOWN: Final = (
    "{uri}: {scheme}:// is not known. Name a local path, s3://bucket/folder, gs://bucket/folder, "
    "or a scheme of fsspec."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Store:
    """A file system and what it can do; names are as the file system wants them."""

    filesystem: Any
    """The ``pyarrow.fs.FileSystem``."""

    root: str
    """Name of the bucket, or of the uppermost folder."""

    put_bytes: int = 0
    """Content up to this size appears whole or not at all under its name."""

    has_folders: bool = False
    """Folders have to be made before something is written into them."""

    driver: Any = None
    """The file system of fsspec that is behind ``filesystem``, if any. What pyarrow does with it
    takes ``*``, ``?`` and ``[`` in a name for a pattern, so files are moved and removed here."""

    def path(self, key: str) -> str:
        """Return the name of a place from the part of its URI after the bucket."""
        return f"{self.root.rstrip('/')}/{key}" if key else self.root

    def forget_listings(self) -> None:
        """Make a driver that remembers folders look again: other processes write to them."""
        if self.driver is not None:
            self.driver.invalidate_cache()

    def mtime_ns(self, path: str) -> int:
        """Return when a file was changed, in nanoseconds since 1970; 0 where nobody knows.

        Pyarrow knows only some of the names that drivers give to that time.
        """
        try:
            return int(self.driver.modified(path).timestamp() * 1e9) if self.driver else 0
        except NotImplementedError:
            return 0

    def move(self, source: str, target: str) -> None:
        """Give a file another name, replacing what is there."""
        if self.driver is None:
            self.filesystem.move(source, target)
        elif _renames(self.driver):
            self.driver.mv(source, target)
        else:
            self.driver.cp_file(source, target)
            self.driver.rm_file(source)

    def remove_file(self, path: str) -> None:
        """Remove a file; FileNotFoundError if there is none."""
        if self.driver is None:
            self.filesystem.delete_file(path)
        else:
            self.driver.info(path)  # some drivers are silent about a file that is not there
            self.driver.rm_file(path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder and what it holds; FileNotFoundError if there is none."""
        if self.driver is None:
            self.filesystem.delete_dir(path)
            return
        found = self.driver.find(path, withdirs=True, detail=True)
        files = [name for name, info in found.items() if info["type"] != "directory"]
        for name in files:
            self.driver.rm_file(name)
        # the deepest first
        for name in sorted({path, *found} - {*files}, key=lambda name: -name.count("/")):
            self.driver.rmdir(name)


def check_scheme(scheme: str, authority: str, uri: str) -> None:
    """Refuse a store that cannot be connected to.

    Raises:
        ConfigError: If the scheme is unknown, needs a package that is not installed, or no bucket
            is named.
    """
    if scheme in OBJECT_STORES:
        if not authority:
            raise ConfigError(f"{uri}: names no bucket. Write it as {scheme}://bucket/folder.")
        return
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        raise ConfigError(_UNKNOWN.format(uri=uri, scheme=scheme)) from error
    except ImportError as error:
        raise ConfigError(_MISSING.format(uri=uri, scheme=scheme, error=error)) from error


def connect(scheme: str, authority: str) -> Store:
    """Return the store; the same one again while the environment is the same.

    Args:
        scheme: In lower case.
        authority: Bucket or host.

    Raises:
        ConfigError: If the environment names an endpoint that is none.
        OSError: If the region of the bucket cannot be found out.
    """
    if scheme == "s3":
        return _s3(authority, _s3_settings(os.environ))
    if scheme == "gs":
        return _gcs(authority)
    return _fsspec(scheme, authority)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _S3Settings:
    """Which S3 is meant, and as whom."""

    endpoint: str | None
    region: str | None
    ca_file: str | None
    credentials: tuple[str | None, ...]


def _s3_settings(environment: Mapping[str, str]) -> _S3Settings:
    def first(*names: str) -> str | None:
        return next((environment[name] for name in names if environment.get(name)), None)

    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
    return _S3Settings(
        endpoint=first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        region=first("AWS_REGION", "AWS_DEFAULT_REGION"),
        ca_file=first("AWS_CA_BUNDLE"),
        credentials=tuple(environment.get(key) for key in keys),
    )


@functools.lru_cache
def _s3(bucket: str, settings: _S3Settings) -> Store:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    scheme, _, host = (settings.endpoint or "https://").rstrip("/").partition("://")
    if settings.endpoint and (scheme not in ("http", "https") or not host):
        raise ConfigError(
            f"AWS_ENDPOINT_URL must be like http://host:9000, got {settings.endpoint}."
        )
    region = settings.region
    if region is None:
        region = "us-east-1" if settings.endpoint else resolve_s3_region(bucket)
    filesystem = S3FileSystem(
        region=region,
        scheme=scheme,
        endpoint_override=host or None,
        connect_timeout=_CONNECT_TIMEOUT_S,
        request_timeout=_REQUEST_TIMEOUT_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        background_writes=False,  # so that a refused part is an error of its write
        allow_delayed_open=True,  # so that small content is one request
        tls_ca_file_path=settings.ca_file,
    )
    return Store(filesystem=filesystem, root=bucket, put_bytes=_S3_PUT_BYTES)


@functools.lru_cache
def _gcs(bucket: str) -> Store:
    from datetime import timedelta

    from pyarrow.fs import GcsFileSystem

    patience = timedelta(seconds=_ATTEMPTS * _REQUEST_TIMEOUT_S)
    return Store(filesystem=GcsFileSystem(retry_time_limit=patience), root=bucket)


@functools.lru_cache
def _fsspec(scheme: str, authority: str) -> Store:
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    driver, root = fsspec.url_to_fs(f"{scheme}://{authority}/")
    return Store(
        filesystem=PyFileSystem(FSSpecHandler(driver)), root=root, has_folders=True, driver=driver
    )


def _renames(driver: object) -> bool:
    """Tell whether a driver has a way of its own to rename, which its base class has not."""
    import fsspec

    return getattr(type(driver), "mv", None) is not fsspec.AbstractFileSystem.mv
