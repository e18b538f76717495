"""Settings of export. Light: imports neither OpenCV nor PyAV."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from poseact.errors import ConfigError
from poseact.storage import is_remote, to_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Turn the results of a run into files for people and for other tools."""

    out: tyro.conf.Positional[str]
    """Folder of the run: the --out of a finished `poseact analyze`, a path or a location such as
    s3://bucket/folder."""

    format: Literal["overlay"]
    """What to write. ``overlay``: each recording as H.264 with everybody's box, number, skeleton
    and action drawn on it."""

    video: tuple[str, ...] = ()
    """Recordings to export, each a video_id, a file name with or without its ending, or a path;
    left out, all of them."""

    to: str | None = None
    """Folder of this machine for the files; left out, one named after the format in the folder of
    the run."""

    hide_heads: bool = True
    """Put a mosaic over every known head. Keep it wherever pictures leave the building; what was
    chosen is written beside each file."""

    def __post_init__(self) -> None:
        if self.to is not None and is_remote(self.to):
            raise ConfigError(
                f"to must be a folder of this machine, got {self.to}. Copy the files from there."
            )
        if self.to is None and is_remote(self.out):
            raise ConfigError(
                f"to is missing: the run is in a store ({self.out}), and files are written to a "
                "folder of this machine. Name one with --to."
            )

    @property
    def folder(self) -> Path:
        """Folder for the files."""
        return Path(self.to) if self.to is not None else Path(self.out) / self.format

    def resolved(self) -> "ExportConfig":
        """Return the same settings with absolute paths and nothing left out."""
        return dataclasses.replace(self, out=str(to_path(self.out)), to=str(self.folder.absolute()))
