"""Settings of action evaluation. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path

from poseact.datasets.action_sources import ActionSources
from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateActionConfig(ActionSources):
    """Measure the action model on people and pictures it has not seen."""

    bundle: Path | None = None
    """Folder of the bundle to measure; the shipped one where not set."""

    seed: int = 0
    """Seed of generated arms and of the models trained for comparison."""

    json: Path | None = None
    """File to write the figures to."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
