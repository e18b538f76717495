"""Settings of action training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

from poseact.datasets.action_sources import ActionSources
from poseact.errors import ConfigError

Augment: TypeAlias = Literal["none", "flip", "flip-swap"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainActionConfig(ActionSources):
    """Fit the action model on joint distances and write a bundle."""

    out: Path
    """Folder of the bundle to write."""

    augment: Augment = "flip-swap"
    """Mirror half of the poses; only with left and right labels swapped does it change anything."""

    held_out_films: int = 6
    """Films of FLIC kept out of training, on which the bundle's figures are measured."""

    epochs: int = 40
    """Passes over the poses."""

    batch_size: int = 256
    """Poses per step, over all workers."""

    seed: int = 0
    """Seed of held-out films, generated arms, weights, order and augmentation."""

    num_workers: int = 1
    """Ray Train workers; 0 trains in this process, without a cluster."""

    storage: Path = Path("runs")
    """Where checkpoints go: a folder that every node can reach. The same command finds them
    again and goes on."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        for name in ("held_out_films", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.num_workers <= self.batch_size:
            raise ConfigError(
                f"num_workers must lie in 0..{self.batch_size} (one pose per worker and step), "
                f"got {self.num_workers}"
            )
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
