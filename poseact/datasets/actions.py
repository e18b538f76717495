"""Poses with an action label: the seed's table of pictures, and poses of FLIC's people.

Shapes: N poses, J = 7 joints in skeleton order.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from poseact.datasets.arms import draw_hard_negatives, draw_hello, draw_namaste
from poseact.datasets.flic import read_flic
from poseact.datasets.gestures import Hand, is_neutral, level
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.models.features import normalise
from poseact.skeleton import NUM_JOINTS

ACTIONS: Final = ("namaste", "hello", "other")
"""The classes, in the order of every score column."""

NAMASTE, HELLO, OTHER = range(len(ACTIONS))

TEST_PICTURES: Final = ("hello_test.jpg", "namaste_test.jpg")
"""The pictures of the seed's table that are for testing; no model trains on them."""

_TABLE_FILE = "action_joints.csv"
_LABEL_COLUMNS = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]


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
        counts = np.bincount(self.labels_N, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}


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
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            _check_header(path, reader.fieldnames or ())
            rows = [(f"{path}:{reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    if not rows:
        raise InputError(f"{path}: has a header and no pictures.")
    joints_NJ2 = np.stack([_parse_joints(where, row) for where, row in rows])
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


def _check_header(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in ("url", *_LABEL_COLUMNS, "label") if name not in names]
    if missing:
        raise InputError(
            f"{path}:1: has no column {missing[0]!r}; it needs url, j1x, j1y, ..., j7y, label."
        )


def _parse_joints(where: str, row: dict[str, str]) -> FloatArray:
    for name in _LABEL_COLUMNS:
        if not _is_finite_number(row[name]):
            raise InputError(f"{where}: {name} must be a number of pixels, got {row[name]!r}.")
    return np.array([float(row[name]) for name in _LABEL_COLUMNS], np.float32).reshape(-1, 2)


def _is_finite_number(text: str | None) -> bool:
    try:
        return bool(np.isfinite(float(text or "")))
    except ValueError:
        return False


def _parse_label(where: str, row: dict[str, str]) -> int:
    label = (row["label"] or "").strip().lower()
    if label not in ACTIONS:
        raise InputError(f"{where}: label must be one of {', '.join(ACTIONS)}, got {label!r}.")
    return ACTIONS.index(label)
