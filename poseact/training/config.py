"""Settings of pose training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Literal

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainPoseConfig:
    """Fit the pose model on folders of labelled people and write a bundle."""

    data: tuple[Path, ...]
    """Folders to learn from: FLIC (either layout), crops with a joints.csv, or pictures with a
    people.csv, of which the train split is taken."""

    out: Path
    """Folder of the bundle to write."""

    preset: Literal["fast"] = "fast"
    """Network: `fast` is a small residual net with heat maps at a quarter of the input."""

    flic_train: Literal["both", "supplied", "official"] = "both"
    """People of FLIC to learn from: those that are in train in this split; `both` leaves either
    test set unseen."""

    rendered: int = 0
    """Rendered people to add, with exact joints in any pose."""

    validation_films: int = 2
    """Films of FLIC held out of training, on which progress is measured."""

    epochs: int = 40
    """Passes over the people."""

    batch_size: int = 64
    """Crops per step, over all workers."""

    learning_rate: float = 2e-3
    """Highest learning rate of the cosine schedule."""

    weight_decay: float = 0.05
    """Decoupled weight decay of AdamW."""

    ema_decay: float = 0.998
    """Share of the old weights in the moving average that is evaluated and shipped."""

    seed: int = 0
    """Seed of weights, order and augmentation."""

    num_workers: int = 1
    """Ray Train workers; 0 trains in this process, without a cluster."""

    threads_per_worker: int = 1
    """CPU cores of each worker."""

    use_gpu: bool = False
    """Give each worker one GPU; bfloat16 autocast is used on either device."""

    checkpoint_every: int = 1
    """Epochs between checkpoints, at which progress is also measured."""

    storage: Path = Path("runs")
    """Where checkpoints go: a folder that every node can reach. The same command finds them
    again and goes on."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        for name in ("epochs", "batch_size", "threads_per_worker", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_workers < 0 or self.batch_size < 2 * max(1, self.num_workers):
            raise ConfigError(
                f"num_workers must lie in 0..{self.batch_size // 2} (two crops per worker and "
                f"step), got {self.num_workers}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.rendered < 0:
            raise ConfigError(f"rendered must be at least 0, got {self.rendered}")
        if self.validation_films < 1:
            raise ConfigError(f"validation_films must be at least 1, got {self.validation_films}")

    def absolute(self) -> "TrainPoseConfig":
        """Return the same settings for processes that run in another folder."""
        return dataclasses.replace(self, data=tuple(path.absolute() for path in self.data))
