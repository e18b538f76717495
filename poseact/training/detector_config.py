"""Settings of detector training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path

from poseact.training.fit_config import FitConfig, check_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainDetectorConfig(FitConfig):
    """Fit the person detector on folders of labelled pictures and write a bundle."""

    data: tuple[Path, ...]
    """Folders with pictures.csv and people.csv, of which the train split is learned from and the
    val split of the first measures progress."""

    out: Path
    """Folder of the bundle to write."""

    base_weights: str = "random"
    """Where the convolutions start: `random`, or a pose or detector bundle; of a detector, all of
    it."""

    limit: int | None = None
    """Learn from at most this many pictures, evenly spread; for trying things out."""

    rendered: int = 0
    """Pictures of rendered people to learn from besides."""

    batch_size: int = 16
    """Pictures per step, over all workers."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        check_least(self, 1, "limit")
        check_least(self, 0, "rendered")

    def absolute(self) -> "TrainDetectorConfig":
        """Return the same settings for processes that run in another folder."""
        is_random = self.base_weights == "random"
        return dataclasses.replace(
            self,
            data=tuple(path.absolute() for path in self.data),
            base_weights="random" if is_random else str(Path(self.base_weights).absolute()),
        )
