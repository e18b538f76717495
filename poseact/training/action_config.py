"""Settings of action training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

from poseact.datasets.action_sources import ActionSources
from poseact.errors import ConfigError

Features: TypeAlias = Literal["xy", "distances", "graph"]
Augment: TypeAlias = Literal["none", "flip", "flip-swap", "mirror-exact"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainActionConfig(ActionSources):
    """Fit the action model on people's joints and write a bundle."""

    out: Path
    """Folder of the bundle to write."""

    features: Features = "distances"
    """What the model sees of a pose: raw coordinates (of people in crops of their own, to compare
    with), joint distances, or these with directions and confidences."""

    augment: Augment = "mirror-exact"
    """How left hands are learnt from right ones: ``flip`` mirrors half of the poses, ``flip-swap``
    swaps their left and right as well, ``mirror-exact`` makes a model that looks at every pose and
    its mirror image, so that both have the same scores to the last bit."""

    held_out_films: int = 6
    """Films of FLIC kept out of training: scores are calibrated on half of them, and the bundle's
    figures measured on the other half."""

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
        for name, least in (("held_out_films", 2), ("epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.num_workers <= self.batch_size:
            raise ConfigError(
                f"num_workers must lie in 0..{self.batch_size} (one pose per worker and step), "
                f"got {self.num_workers}"
            )
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
