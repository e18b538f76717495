"""Settings of pose training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

from poseact.datasets.folds import NUM_FOLDS
from poseact.errors import ConfigError

PosePreset: TypeAlias = Literal["scratch", "vgg16", "mobilenet", "fast", "simcc", "accurate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainPoseConfig:
    """Fit the pose model on folders of labelled people and write a bundle."""

    data: tuple[Path, ...]
    """Folders to learn from: FLIC (either layout), crops with a joints.csv, or pictures with a
    people.csv, of which the train split is taken."""

    out: Path
    """Folder of the bundle to write."""

    repeats: tuple[int, ...] = ()
    """Times that the people of each folder of --data are seen in an epoch, in its order; left out,
    once each."""

    rendered: int = 0
    """Rendered people to add, with exact joints in any pose."""

    limit: int | None = None
    """Learn from at most this many people of --data, evenly spread; for trying things out."""

    preset: PosePreset = "fast"
    """Network. `scratch` (own CNN), `vgg16` and `mobilenet` (torchvision's convolutions) regress 14
    numbers; `fast` and, larger, `accurate` make heat maps; `simcc` classifies each coordinate."""

    base: Literal["unfrozen", "frozen", "staged"] = "unfrozen"
    """What the convolutions below the head learn: everything, nothing, or nothing in the first
    third of the epochs and then at a tenth of the learning rate."""

    base_weights: str = "random"
    """Where they start: `random`, `imagenet` (vgg16 and mobilenet; downloaded by torchvision), a
    file with the state dict of a torchvision classifier, or a bundle, whose head is taken too
    where it fits."""

    teacher: Path | None = None
    """Bundle whose joints on the same crops are learnt beside the labels (distillation)."""

    mirror_test: bool = False
    """Let the bundle look at each crop twice, once mirrored: twice the work, and surer of left and
    right."""

    fold: int | None = None
    """Leave out this fifth (0..4) of the films and pictures of every folder, for
    `evaluate-pose --protocol disjoint`; FLIC's own splits then do not count."""

    flic_train: Literal["both", "supplied", "official"] = "both"
    """People of FLIC to learn from: those that are in train in this split; `both` leaves either
    test set unseen."""

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
        _check_least(self, 1, "epochs", "batch_size", "threads_per_worker", "checkpoint_every")
        _check_least(self, 1, "limit", "validation_films")
        _check_least(self, 0, "rendered")
        if self.num_workers < 0 or self.batch_size < 2 * max(1, self.num_workers):
            raise ConfigError(
                f"num_workers must lie in 0..{self.batch_size // 2} (two crops per worker and "
                f"step), got {self.num_workers}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.repeats and (len(self.repeats) != len(self.data) or min(self.repeats) < 1):
            raise ConfigError(
                f"repeats must give a number of at least 1 for each of the {len(self.data)} "
                f"folders of data, got {self.repeats}"
            )
        if self.fold is not None and not 0 <= self.fold < NUM_FOLDS:
            raise ConfigError(f"fold must lie in 0..{NUM_FOLDS - 1}, got {self.fold}")
        if self.base != "unfrozen" and self.base_weights == "random":
            raise ConfigError(
                f"base: {self.base} random weights learn nothing of use. Give --base-weights."
            )

    def absolute(self) -> "TrainPoseConfig":
        """Return the same settings for processes that run in another folder."""
        is_named = self.base_weights in ("random", "imagenet")
        return dataclasses.replace(
            self,
            data=tuple(path.absolute() for path in self.data),
            base_weights=self.base_weights if is_named else str(Path(self.base_weights).absolute()),
            teacher=None if self.teacher is None else self.teacher.absolute(),
        )


def _check_least(config: TrainPoseConfig, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
