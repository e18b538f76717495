"""Poses with an action label: the seed's table of pictures, and poses of FLIC's people.

Shapes: N poses, J = 7 joints in skeleton order.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from poseact.datasets.arms import draw_hard_negatives, draw_hello, draw_namaste
from poseact.datasets.flic import read_flic
from poseact.datasets.gestures import Hand, is_neutral, level
from poseact.datasets.labels import COORDINATES, count_classes, csv_rows, parse_joints
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.models.features import normalise

ACTIONS: Final = ("namaste", "hello", "other")
"""The classes, in the order of every score column."""

NAMASTE, HELLO, OTHER = range(len(ACTIONS))

TEST_PICTURES: Final = ("hello_test.jpg", "namaste_test.jpg")
"""The pictures of the seed's table that are for testing; no model trains on them."""

_TABLE_FILE = "action_joints.csv"
POSE_COLUMNS: Final = ("url", *COORDINATES, "label")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionPoses:
    """Labelled poses, one per person and frame."""

    joints_NJ3: FloatArray
    """x, y in body scales around the middle of the shoulders, y down, NaN where not seen; and
    confidence, 1 for joints that people labelled or that are generated."""

    labels_N: npt.NDArray[np.int64]
    """Index into ``classes``."""

    groups_N: npt.NDArray[np.str_]
    """Film or picture; poses of one group never go to both sides of a split."""

    classes: tuple[str, ...] = ACTIONS
    """Name of each label."""

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, chosen_N: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """Return the chosen poses: a mask or indices."""
        return dataclasses.replace(
            self,
            joints_NJ3=self.joints_NJ3[chosen_N],
            labels_N=self.labels_N[chosen_N],
            groups_N=self.groups_N[chosen_N],
        )

    def count_classes(self) -> dict[str, int]:
        """Return how many poses each class has."""
        return count_classes(self.labels_N, self.classes)

    def data_hash(self) -> str:
        """Return a hash of joints and labels."""
        digest = hashlib.sha256(self.joints_NJ3.tobytes())
        digest.update(self.labels_N.tobytes())
        return digest.hexdigest()[:12]


def concatenate(parts: Sequence[ActionPoses]) -> ActionPoses:
    """Return the poses of all parts, in order; their classes are the same."""
    return ActionPoses(
        joints_NJ3=np.concatenate([part.joints_NJ3 for part in parts]),
        labels_N=np.concatenate([part.labels_N for part in parts]),
        groups_N=np.concatenate([part.groups_N for part in parts]),
        classes=parts[0].classes,
    )


def with_confidence(joints_NJ2: FloatArray) -> FloatArray:
    """Return the joints with confidence 1 where they are seen and 0 where not, (N, 7, 3)."""
    is_seen_NJ1 = np.isfinite(joints_NJ2).all(axis=2, keepdims=True)
    return np.concatenate([joints_NJ2, is_seen_NJ1], axis=2, dtype=np.float32)


def read_action_table(folder: Path) -> ActionPoses:
    """Read the seed's labelled pictures.

    Args:
        folder: Holds ``action_joints.csv``: ``url, j1x..j7y, label``, joints in pixels, the label
            one of the actions in any case.

    Returns:
        One pose per row; the group is the picture's name.

    Raises:
        InputError: If the table is missing, has no rows, lacks a column, or has a bad value.
    """
    path = folder / _TABLE_FILE
    rows = csv_rows(path, POSE_COLUMNS)
    if not rows:
        raise InputError(f"{path}: has a header and no pictures.")
    joints_NJ2 = np.stack([_parse_whole_pose(where, row) for where, row in rows])
    return ActionPoses(
        joints_NJ3=with_confidence(normalise(joints_NJ2)),
        labels_N=np.array([_parse_label(where, row) for where, row in rows]),
        groups_N=np.array([row["url"] for _, row in rows]),
    )


def read_flic_bodies(folder: Path) -> ActionPoses:
    """Read FLIC's people as examples of ``other``.

    Args:
        folder: FLIC in either layout.

    Returns:
        Everybody who neither holds up a hand nor joins the palms; the group is the film.

    Raises:
        InputError: As ``read_flic``.
    """
    people = read_flic(folder)
    joints_NJ2 = level(normalise(np.stack([person.joints_J3[:, :2] for person in people])))
    everybody = ActionPoses(
        joints_NJ3=with_confidence(joints_NJ2),
        labels_N=np.full(len(people), OTHER),
        groups_N=np.array([person.group for person in people]),
    )
    return everybody.take(is_neutral(joints_NJ2))


def act_out(bodies: ActionPoses, rng: np.random.Generator, *, hands: Sequence[Hand]) -> ActionPoses:
    """Let every body act: arms generated, head and shoulders as they are.

    Args:
        bodies: Neutral poses, labelled ``other``.
        rng: Source of all chance.
        hands: One round per entry: every body in Hello with this hand, in Namaste, and in one of
            the poses that are easily taken for either, labelled ``other``.

    Returns:
        The bodies as they are, then the rounds.
    """
    rounds = [_act_round(bodies, rng, hand) for hand in hands]
    return concatenate([bodies, *rounds])


def _act_round(bodies: ActionPoses, rng: np.random.Generator, hand: Hand) -> ActionPoses:
    joints_NJ2 = bodies.joints_NJ3[..., :2]
    acted = {
        HELLO: draw_hello(joints_NJ2, rng, hand),
        NAMASTE: draw_namaste(joints_NJ2, rng),
        OTHER: draw_hard_negatives(joints_NJ2, rng),
    }
    return concatenate(
        [
            dataclasses.replace(
                bodies,
                joints_NJ3=with_confidence(poses_NJ2),
                labels_N=np.full(len(bodies), label),
            )
            for label, poses_NJ2 in acted.items()
        ]
    )


def _parse_whole_pose(where: str, cells: dict[str, str]) -> FloatArray:
    try:
        joints_J2 = parse_joints(cells)
    except ValueError as error:
        raise InputError(f"{where}: {error}.") from error
    if np.isnan(joints_J2).any():
        raise InputError(f"{where}: all joints are needed.")
    return joints_J2


def _parse_label(where: str, row: dict[str, str]) -> int:
    label = row["label"].strip().lower()
    if label not in ACTIONS:
        raise InputError(f"{where}: label must be one of {', '.join(ACTIONS)}, got {label!r}.")
    return ACTIONS.index(label)
