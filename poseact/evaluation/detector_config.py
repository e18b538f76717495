"""Settings of detector evaluation. Light: imports no torch."""

import dataclasses
from pathlib import Path

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateDetectorConfig:
    """Measure the person detector on pictures it has not seen."""

    data: Path
    """Folder with images/, pictures.csv and people.csv."""

    split: str = "val"
    """Split to measure on, as the folder names it."""

    bundle: Path | None = None
    """Bundle to measure; left out, the one that ships with poseact."""

    threshold: float | None = None
    """Score from which a find is taken for a person; left out, the bundle's own."""

    peer: str | None = None
    """Detector of others to measure beside it: fastestdet:PATH or yolofastest:FOLDER."""

    json: Path | None = None
    """Write the figures to this file too."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must lie between 0 and 1, got {self.threshold}")
