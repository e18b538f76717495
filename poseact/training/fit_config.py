"""Settings of every fit of a network with a backbone. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path

from poseact.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long, how fast and where a network is fitted."""

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
    """Give each worker one GPU; bfloat16 is used on GPUs and on CPUs that have it."""

    checkpoint_every: int = 1
    """Epochs between checkpoints, at which progress is also measured."""

    storage: Path = Path("runs")
    """Where checkpoints go: a folder that every node can reach. The same command finds them
    again and goes on."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        check_least(self, 1, "epochs", "batch_size", "threads_per_worker", "checkpoint_every")
        if self.num_workers < 0 or self.batch_size < 2 * max(1, self.num_workers):
            raise ConfigError(
                f"num_workers must lie in 0..{self.batch_size // 2} (two crops per worker and "
                f"step), got {self.num_workers}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")


def check_least(config: FitConfig, least: int, *names: str) -> None:
    """Raise ConfigError if one of the settings is given and too small."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
