"""The settings of ``poseact analyze``."""

import dataclasses
import math
from pathlib import Path

from poseact.errors import ConfigError
from poseact.storage import to_path
from poseact.timeline.segments import SegmentRules
from poseact.video.find import absolute_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """Find actions in recorded video and write their timelines."""

    videos: tuple[str, ...]
    """Files, folders (searched through) or glob patterns, also in a store (``s3://bucket/folder``)."""

    out: str
    """Folder of the results, on a disk that every node mounts or in a store such as
    ``s3://bucket/folder``; an interrupted run in it is taken up where it stopped."""

    overwrite: bool = False
    """Where the folder holds results of other settings: analyze the videos that are named anew."""

    detector: str = "bundled"
    """Who looks for people: ``bundled``, the detector that ships with the package; a folder written
    by ``train-detector``; ``torchvision:NAME``, one of torchvision's, which it downloads; or
    ``none``, each frame is taken for one person."""

    detector_weights: Path | None = None
    """State dict of the torchvision detector, where it cannot be downloaded."""

    detect_every_s: float = 0.2
    """Time between two frames in which people are looked for; between them boxes are carried."""

    min_detection_score: float | None = None
    """Score that a person must reach in one frame at least, in 0..1; in others, 0.7 of it is
    enough. Left out, that of the detector."""

    pose_model: Path | None = None
    """Folder of a pose bundle; the one that ships with the package if not given."""

    action_model: Path | None = None
    """Folder of an action bundle; the one that ships with the package if not given."""

    rules: SegmentRules = dataclasses.field(default_factory=SegmentRules)
    """What turns scores into segments."""

    min_pose_confidence: float | None = None
    """Mean joint confidence, in 0..1, below which nobody is there. Left out, 0.3 where a detector
    looked for people; else 0.6, at which the shipped model passes over 88 % of pictures that are
    empty, and nobody of the video protocol."""

    limit: int | None = None
    """Analyse the first so many videos only."""

    chunk_mib: int = 128
    """Decoded pixels of one unit of work, in MiB; bounds memory, changes no result."""

    frame_timeout_s: float = 30.0
    """Time in which a frame must be read; a file on which decoding hangs is set aside after three
    tries, and changes no result of others."""

    dry_run: bool = False
    """Print what would be done, and do nothing."""

    def __post_init__(self) -> None:
        if not self.videos:
            raise ConfigError("videos names no file, folder or pattern.")
        if self.detect_every_s < 0:
            raise ConfigError(f"detect_every_s must be at least 0, got {self.detect_every_s}.")
        if self.detector_weights and not self.detector.startswith("torchvision:"):
            raise ConfigError("detector_weights are for --detector torchvision:NAME alone.")
        if self.detector == "none" and self.min_detection_score is not None:
            raise ConfigError(
                "min_detection_score: with --detector none nobody is looked for, so nobody has a "
                "score. Leave it out, or name a detector."
            )
        if not 0 <= (self.min_detection_score or 0) <= 1:
            raise ConfigError(
                f"min_detection_score must lie in 0..1, got {self.min_detection_score}."
            )
        if not 0 <= self.least_pose_confidence <= 1:
            raise ConfigError(
                f"min_pose_confidence must lie in 0..1, got {self.min_pose_confidence}."
            )
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be at least 1, got {self.limit}.")
        if not 0 < self.frame_timeout_s < math.inf:
            raise ConfigError(f"frame_timeout_s must be positive, got {self.frame_timeout_s}.")
        if self.chunk_mib < 1:
            raise ConfigError(f"chunk_mib must be at least 1, got {self.chunk_mib}.")

    @property
    def least_pose_confidence(self) -> float:
        """Mean joint confidence below which nobody is there, whether given or left out."""
        if self.min_pose_confidence is not None:
            return self.min_pose_confidence
        return 0.6 if self.detector == "none" else 0.3

    @property
    def chunk_bytes(self) -> int:
        """Decoded pixels of one unit of work, in bytes."""
        return self.chunk_mib * 1024**2

    def absolute(self) -> "AnalyzeConfig":
        """Return the same settings for processes that run in another folder."""
        return dataclasses.replace(
            self,
            videos=tuple(map(absolute_path, self.videos)),
            out=str(to_path(self.out)),
            pose_model=self.pose_model and self.pose_model.absolute(),
            action_model=self.action_model and self.action_model.absolute(),
            detector_weights=self.detector_weights and self.detector_weights.absolute(),
            detector=str(Path(self.detector).absolute())
            if Path(self.detector).is_dir()
            else self.detector,
        )
