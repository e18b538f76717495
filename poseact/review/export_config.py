"""Settings of export. Light: imports neither OpenCV nor PyAV."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Turn the results of a run into files for people and for other tools."""

    out: tyro.conf.Positional[Path]
    """Folder of the run: the --out of a finished `poseact analyze`."""

    format: Literal["overlay"]
    """What to write. ``overlay``: each recording as H.264 with everybody's box, number, skeleton
    and action drawn on it."""

    video: tuple[str, ...] = ()
    """Recordings to export, each a video_id, a file name with or without its ending, or a path;
    left out, all of them."""

    to: Path | None = None
    """Folder for the files; left out, one named after the format in the folder of the run."""

    hide_heads: bool = True
    """Put a mosaic over every known head. Keep it wherever pictures leave the building; what was
    chosen is written beside each file."""

    @property
    def folder(self) -> Path:
        """Folder for the files."""
        return self.to or self.out / self.format

    def resolved(self) -> "ExportConfig":
        """Return the same settings with absolute paths and nothing left out."""
        return dataclasses.replace(self, out=self.out.absolute(), to=self.folder.absolute())
