"""`poseact export`: the results of a run as files for people and for other tools."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from poseact import __version__
from poseact.config_file import closest
from poseact.errors import EXIT_INCOMPLETE, ConfigError, InputError, OutputError, VideoError
from poseact.review.export_config import ExportConfig
from poseact.review.overlay import write_overlay
from poseact.timeline.tables import OutFolder, read_videos
from poseact.video.find import absolute_path
from poseact.video.probe import video_id_of

Row: TypeAlias = dict[str, Any]
"""A row of the ``videos`` table."""

UNFINISHED: Final = "work"
"""Folder that a run removes when it is complete."""


def export(config: ExportConfig) -> int:
    """Write the files that were asked for, and print a line for each.

    Args:
        config: Settings.

    Returns:
        Exit code: 0, or ``EXIT_INCOMPLETE`` if a recording was left out or is partial.

    Raises:
        ConfigError: If a recording that was named is not in the run.
        InputError: If there is no finished run, or no recording of it can be exported.
        OutputError: If a file cannot be written.
    """
    config = config.resolved()
    rows = chosen_videos(config.out, config.video)
    left_out = {row["video_id"]: why for row in rows if (why := why_unusable(row))}
    if len(left_out) == len(rows):
        first, *others = left_out.values()
        raise InputError(first + (f" {len(others)} more cannot be used either." if others else ""))
    is_complete = not left_out
    for row in rows:
        try:
            if why := left_out.get(row["video_id"]):
                raise InputError(why)  # noqa: TRY301 - left out like one that fails on the way
            print(_export_overlay(row, config), flush=True)  # noqa: T201 - the report of a command
        except InputError as error:
            is_complete = False
            print(f"left out: {error}", file=sys.stderr)  # noqa: T201 - the same
    return 0 if is_complete else EXIT_INCOMPLETE
