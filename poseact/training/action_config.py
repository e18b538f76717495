"""Settings of action training. Light: imports neither torch nor Ray."""

import dataclasses
from pathlib import Path
from typing import Final, Literal, TypeAlias

from poseact.datasets.action_sources import ActionSources
from poseact.errors import ConfigError

Features: TypeAlias = Literal["xy", "distances", "graph"]
Augment: TypeAlias = Literal["none", "flip", "flip-swap", "mirror-exact"]

UTD_MHAD: Final = "utd-mhad:"
"""What stands before the folder of that data set."""

MAX_WINDOW_S: Final = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainActionConfig(ActionSources):
    """Fit the action model on people's joints and write a bundle."""

    data: Path | None = None
    """CSV file of your own labels (poses, sequences, or intervals of recordings); or
    utd-mhad:FOLDER; or the folder that holds FLIC and the labelled pictures as `flic/` and
    `actions/namaste_hello/`, for the model that ships."""

    run: Path | None = None
    """Finished run, the --out of analyze, that a table of intervals is about."""

    out: Path
    """Folder of the bundle to write."""

    window_s: float | None = None
    """Learn motion, in windows of this many seconds, from intervals or sequences. Where not set,
    intervals are learnt as single poses, and every sequence is one window."""

    causal: bool = False
    """Windows end at the frame that they tell of, instead of having it in the middle: for low
    latency."""

    features: Features = "distances"
    """What the model sees of a pose: raw coordinates (of people in crops of their own, to compare
    with), joint distances, or these with directions and confidences."""

    augment: Augment = "mirror-exact"
    """How left hands are learnt from right ones: ``flip`` mirrors half of the poses, ``flip-swap``
    swaps their left and right as well, ``mirror-exact`` makes a model that looks at every pose and
    its mirror image, so that both have the same scores to the last bit (models of motion take it
    for ``flip-swap``). If a label names left or right, nothing is mirrored."""

    held_out_films: int = 6
    """Films of FLIC kept out of training: scores are calibrated on half of them, and the bundle's
    figures measured on the other half. (Of your own labels about a quarter is, by group.)"""

    epochs: int = 40
    """Passes over the poses."""

    batch_size: int = 256
    """Poses per step, over all workers; of sequences an eighth as many."""

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
        if self.own_labels is None and (self.run or self.window_s or self.causal):
            raise ConfigError(
                "run, window_s and causal are for your own labels: pass --data TABLE.csv."
            )
        if self.own_labels is not None and (self.flic or self.actions):
            raise ConfigError("flic and actions are for generated arms: leave them out.")
        if self.window_s is not None and not 0 < self.window_s <= MAX_WINDOW_S:
            raise ConfigError(
                f"window_s must lie in 0..{MAX_WINDOW_S:g} seconds, got {self.window_s}"
            )
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

    @property
    def own_labels(self) -> Path | None:
        """The table (or ``utd-mhad:FOLDER``) to learn from; None where arms are generated."""
        is_own = self.data is not None and (
            str(self.data).startswith(UTD_MHAD)
            or self.data.suffix.lower() == ".csv"
            or self.data.is_file()
        )
        return self.data if is_own else None
