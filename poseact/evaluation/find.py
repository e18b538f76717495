"""From pictures to joints: how a model under measurement is shown people.

Shape letters: P people, B people of one batch, J joints.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from poseact.datasets.folds import fold_of
from poseact.geometry import FloatArray, ImageArray
from poseact.models.looks import CropModel, Square, look, look_twice
from poseact.skeleton import NUM_JOINTS

BATCH = 16


class Look(NamedTuple):
    """One person to find the joints of."""

    picture_HWC: ImageArray
    square: Square
    group: str


class Finder(Protocol):
    """Finds the joints of one person in each picture."""

    @property
    def model_id(self) -> str:
        """What tables call it."""

    def find(self, looks: Sequence[Look]) -> FloatArray:
        """Return joints, (B, J, 3): x, y in the pixels of each picture, confidence."""


class NamedModel(CropModel, Protocol):
    """A bundle's estimator, or a peer."""

    @property
    def model_id(self) -> str:
        """What tables call it."""


@dataclasses.dataclass(frozen=True)
class CropFinder:
    """Shows a model the square of each person."""

    model: NamedModel

    reach: float = 1.0
    """Side of the model's crops over that of the square."""

    looks_twice: bool = True
    """Whether a loose crop is followed by a closer one, as in the analysis."""

    @property
    def model_id(self) -> str:
        """What tables call the model."""
        return self.model.model_id

    def find(self, looks: Sequence[Look]) -> FloatArray:
        """Return joints, (B, J, 3): x, y in the pixels of each picture, confidence."""
        method = look_twice if self.looks_twice else look
        pictures = [one.picture_HWC for one in looks]
        return method(self.model, pictures, [self._widened(one.square) for one in looks])

    def _widened(self, square: Square) -> Square:
        center_x, center_y, side = square
        return center_x, center_y, side * self.reach


@dataclasses.dataclass(frozen=True)
class FoldFinder:
    """Shows each person to the model that has not learned from the person's fold."""

    finders: Mapping[int, Finder]
    """By the fold that each has not learned from."""

    @property
    def model_id(self) -> str:
        """What tables call the models together."""
        return ", ".join(f"fold {fold} {one.model_id}" for fold, one in self.finders.items())

    def find(self, looks: Sequence[Look]) -> FloatArray:
        """Return joints, (B, J, 3): x, y in the pixels of each picture, confidence.

        Raises:
            KeyError: If there is no model for somebody's fold.
        """
        joints_BJ3 = np.empty((len(looks), NUM_JOINTS, 3), np.float32)
        folds_B = np.array([fold_of(look.group) for look in looks])
        for fold in np.unique(folds_B).tolist():
            rows = np.flatnonzero(folds_B == fold).tolist()
            joints_BJ3[rows] = self.finders[fold].find([looks[row] for row in rows])
        return joints_BJ3


def find_joints(
    finder: Finder,
    pictures: Iterable[tuple[int, ImageArray]],
    squares: Sequence[Square],
    groups: Sequence[str],
) -> FloatArray:
    """Find the joints of people in batches.

    Args:
        finder: The model.
        pictures: Row of each person and the picture, each row once, in any order.
        squares: Crop of each row.
        groups: Film, recording or picture of each row.

    Returns:
        (P, J, 3): x, y in the pixels of the person's picture, confidence.
    """
    found_PJ3 = np.full((len(squares), NUM_JOINTS, 3), np.nan, np.float32)
    waiting = iter(pictures)
    while batch := list(islice(waiting, BATCH)):
        rows = [row for row, _ in batch]
        looks = [Look(picture, squares[row], groups[row]) for row, picture in batch]
        found_PJ3[rows] = finder.find(looks)
    return found_PJ3
