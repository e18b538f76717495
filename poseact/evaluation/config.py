"""Settings of pose evaluation and prediction. Light: imports no torch."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatePoseConfig:
    """Measure a pose bundle on people it has not seen."""

    data: Path
    """Folder of the data: FLIC, pictures with a people.csv, crops with a joints.csv, or videos
    with reference_joints/."""

    protocol: Literal["supplied", "official", "people", "video", "crops"] | None = None
    """How to measure; left out, what the folder's layout asks for."""

    split: str | None = None
    """Split to measure on, where the folder names splits; left out, its test or val split."""

    bundle: Path | None = None
    """Bundle to measure; left out, the one that ships with poseact."""

    json: Path | None = None
    """Write the figures to this file too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Draw the joints of the person in each picture and name the action."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures of one person each."""

    out: Path
    """Folder for the drawn pictures."""

    pose_model: Path | None = None
    """Pose bundle; left out, the one that ships with poseact."""

    action_model: Path | None = None
    """Action bundle; left out, the one that ships with poseact."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if not self.images:
            raise ConfigError("images: name at least one picture.")
