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

    protocol: Literal["supplied", "official", "people", "video", "crops", "disjoint"] | None = None
    """How to measure; left out, what the folder's layout asks for. `disjoint` measures everybody,
    each by the bundle that did not learn from the person's fold."""

    split: str | None = None
    """Split to measure on, where the folder names splits; left out, its test or val split."""

    bundle: tuple[Path, ...] = ()
    """Bundle to measure, with `disjoint` those of several folds; left out, the one that ships with
    poseact."""

    peer: str | None = None
    """Model of others to measure beside it, onnx:PATH: heat maps of COCO's 17 keypoints."""

    worst: int | None = None
    """Number of people with the largest error to show on the picture --out."""

    out: Path | None = None
    """PNG file for the people of --worst."""

    json: Path | None = None
    """Write the figures to this file too."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if self.protocol == "disjoint" and not self.bundle:
            raise ConfigError(
                "bundle: the protocol disjoint needs one bundle or more, each trained without one "
                "fold: `train-pose --fold K`."
            )
        if self.protocol != "disjoint" and len(self.bundle) > 1:
            raise ConfigError(
                f"bundle: got {len(self.bundle)}; only --protocol disjoint takes more than one."
            )
        if (self.worst is None) != (self.out is None):
            raise ConfigError("worst and out go together: how many people, and the PNG file.")
        if self.worst is not None and self.worst < 1:
            raise ConfigError(f"worst must be at least 1, got {self.worst}")


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
