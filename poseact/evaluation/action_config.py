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
    """Seed of the generated arms on which the bundle is measured."""

    ablation: bool = False
    """Train with every feature set and every augmentation, and compare them: some minutes."""

    seeds: int | None = None
    """Trainings behind each line of the comparison: 5 where not set. Without --ablation, train
    with the settings of train-action alone, so many times; 0 where not set."""

    reliability: Path | None = None
    """PNG file for a drawing of how often scores come true."""

    json: Path | None = None
    """File to write the figures to."""

    @property
    def num_seeds(self) -> int:
        """Trainings behind each line of the comparison."""
        if self.seeds is not None:
            return self.seeds
        return 5 if self.ablation else 0

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
        if self.num_seeds < int(self.ablation):
            raise ConfigError(f"seeds must be at least {int(self.ablation)}, got {self.seeds}")
