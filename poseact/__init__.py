"""Who did what, and when, in recorded video: action timelines and the segments worth a look."""

import importlib
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import ModuleType

    from poseact.timeline.tables import (
        read_segments,
        read_timeline,
        read_verdicts,
        read_videos,
    )

# `uv run` would make Ray start each worker through another `uv run`. Ray reads this when it is
# imported, which whoever uses this package does later.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
# A node gives up when its agent takes longer than this to start, 30 s by default: too short for
# cores that are busy.
os.environ.setdefault("RAY_agent_register_timeout_ms", "180000")

# OpenVINO tells its maker of every import and conversion, unless its telemetry package is missing.
# Nothing may leave the machine, and an isolated one would wait for the connection.
sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))

__all__ = ["__version__", "read_segments", "read_timeline", "read_verdicts", "read_videos"]

try:
    __version__ = version("poseact")
except PackageNotFoundError:  # a cluster job may run from a working directory, not installed
    __version__ = "0+source"


def __getattr__(name: str) -> object:
    """Load the readers on first use: pandas and pyarrow would slow every command's start."""
    if name in __all__:
        return getattr(importlib.import_module("poseact.timeline.tables"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
