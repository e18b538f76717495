"""`poseact export`: the results of a run as files for people and for other tools."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from poseact import __version__
from poseact.config_file import closest
from poseact.errors import EXIT_INCOMPLETE, ConfigError, InputError, OutputError, VideoError
from poseact.review.export_config import ExportConfig
from poseact.review.overlay import write_overlay
from poseact.storage import cannot_read, to_path
from poseact.timeline.tables import OutFolder, read_videos
from poseact.video.find import absolute_path, shown
from poseact.video.probe import video_id_of

VideoRow: TypeAlias = dict[str, Any]
"""Row of the ``videos`` table."""


def export(config: ExportConfig) -> int:
    """Write the files that were asked for; print a line for each, and for what is left out.

    Args:
        config: Settings.

    Returns:
        Exit code: 0, or ``EXIT_INCOMPLETE`` if a recording was left out or is partial.

    Raises:
        ConfigError: If a recording that was named is not in the run.
        InputError: If there is no finished run, or nothing of it can be exported.
        OutputError: If a file cannot be written.
    """
    config = config.resolved()
    rows = choose_videos(config.out, config.video)
    left_out: list[InputError] = []
    for row in rows:
        try:
            print(export_overlay(row, config), flush=True)
        except InputError as error:
            left_out.append(error)
    if len(left_out) == len(rows):
        others = f" {len(rows) - 1} more cannot be exported either." if len(rows) > 1 else ""
        raise InputError(f"{left_out[0]}{others}")
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    print("A score is a prompt for a person, not a finding.")
    is_complete = not left_out and all(row["status"] == "ok" for row in rows)
    return 0 if is_complete else EXIT_INCOMPLETE


def choose_videos(out: OutFolder, names: Sequence[str]) -> list[VideoRow]:
    """Return the recordings of a finished run that a user named.

    Args:
        out: Folder of the run.
        names: Each a video_id, a file name with or without its ending, or a path; a name that
            several recordings have stands for all of them. None at all stands for every recording.

    Returns:
        Their rows of the ``videos`` table, by uri.

    Raises:
        ConfigError: If there is no recording of a name.
        InputError: If there is no run, or it is not finished.
    """
    rows: Any = read_videos(out).to_dict("records")
    if _is_unfinished(out):
        raise InputError(
            f"{out}: the run is not finished. The same `poseact analyze` again goes on with it; "
            "export after that."
        )
    if not rows:
        raise InputError(f"{out}: the run has no recording. Analyze some into it.")
    known = {name for row in rows for name in names_of(row)}
    for name in names:
        if not known & {name, absolute_path(name)}:
            raise ConfigError(
                f"{out}: has no recording {name}{closest(name, known)} "
                f"poseact.read_videos({str(out)!r}) lists them."
            )
    wanted = {*names, *map(absolute_path, names)}
    return [row for row in rows if not names or wanted & names_of(row)]


def _is_unfinished(out: OutFolder) -> bool:
    work = to_path(out) / "work"
    try:
        return work.exists()
    except OSError as error:
        raise cannot_read(work, error) from error


def names_of(row: VideoRow) -> set[str]:
    """Return what a user may call a recording: its video_id, location, and name."""
    path = PurePosixPath(row["uri"])
    return {row["video_id"], row["uri"], path.name, path.stem}


def export_overlay(row: VideoRow, config: ExportConfig) -> str:
    """Write the overlay of one recording, and beside it what it was made from.

    The file is named by the recording and its id, so that no two recordings share one.

    Args:
        row: Of the recording.
        config: Settings, resolved.

    Returns:
        A line that says what was written.

    Raises:
        InputError: If the recording, as it was analysed, cannot be had any more.
        OutputError: If a file cannot be written.
    """
    _require_as_analyzed(row)
    uri, video_id = row["uri"], row["video_id"]
    path = config.folder / f"{Path(uri).stem}-{video_id}.mp4"
    manifest = path.with_suffix(".json")
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
        num_frames = write_overlay(config.out, uri, video_id, path, hide_heads=config.hide_heads)
        manifest.write_text(_manifest(row, config))
    except OSError as error:
        raise OutputError(
            f"{error.filename or manifest}: cannot be written ({error.strerror}). Free some space "
            "or choose another --to."
        ) from error
    partial = f"; partial: {row['error']}" if row["status"] == "partial" else ""
    return f"{shown(str(path))}: {num_frames:,} frames of {shown(uri)}{partial}"


def _require_as_analyzed(row: VideoRow) -> None:
    uri = row["uri"]
    if row["status"] == "failed":
        raise InputError(
            f"{shown(uri)}: its analysis failed ({row['error']}). Mend it, analyze it again."
        )
    try:
        video_id = video_id_of(uri)
    except VideoError as error:
        raise InputError(
            f"{error}. Was it moved or deleted since it was analyzed? Put it back, or analyze it "
            "where it is now."
        ) from error
    if video_id != row["video_id"]:
        raise InputError(
            f"{shown(uri)}: its size or time has changed since it was analyzed, so the timeline "
            "may be that of another recording. Put the old file back with its time, or analyze "
            "this one."
        )


def _manifest(row: VideoRow, config: ExportConfig) -> str:
    content = {
        "source": row["uri"],
        "video_id": row["video_id"],
        "run_id": row["run_id"],
        "poseact_version": __version__,
        "config": dataclasses.asdict(config),
    }
    return json.dumps(content, indent=2, default=str) + "\n"
