"""Settings of pose training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

from poseact.datasets.folds import NUM_FOLDS
from poseact.errors import ConfigError
from poseact.training.fit_config import FitConfig, check_least

PosePreset: TypeAlias = Literal["scratch", "vgg16", "mobilenet", "fast", "simcc", "accurate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainPoseConfig(FitConfig):
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

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        check_least(self, 1, "limit", "validation_films")
        check_least(self, 0, "rendered")
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
