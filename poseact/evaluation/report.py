"""What every report of figures needs: which source it comes from, and a file to go to."""

import json
import subprocess
from pathlib import Path
from typing import Any

import poseact
from poseact.errors import OutputError


def source_commit() -> str | None:
    """Return the commit of the source tree; None for an installed package."""
    root = Path(poseact.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "--no-optional-locks", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - no word of it is a user's
    except (OSError, subprocess.CalledProcessError):  # no git here, or not a tree of its own
        return None
    return done.stdout.strip()


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write figures to a file; OutputError if that is not possible."""
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
