"""Whom a protocol measures: people in pictures or in frames of recordings, and their true joints.

Shape letters: P people, J joints.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from poseact.datasets.person import LabelledPerson, data_hash, read_picture
from poseact.geometry import FloatArray, ImageArray, square_to_crop, transform_points
from poseact.models.looks import Square

CROP_PX = 224
"""Side of the crops in which errors in pixels are given."""

GroupKind: TypeAlias = Literal["film", "recording", "picture"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subjects:
    """People to measure, row by row; all coordinates are pixels of the person's picture."""

    description: str
    """The protocol in words."""

    data_hash: str
    """Hash of the names and labels of everybody."""

    group_kind: GroupKind
    """What a group is; people of one group resemble each other."""

    groups: Sequence[str]
    """Film, recording or picture of each person."""

    names: Sequence[str]
    """File or frame of each person within the group."""

    squares: Sequence[Square]
    """Crop of each person."""

    true_PJ2: FloatArray
    """x, y; NaN without a label."""

    torso_P: FloatArray
    """Normaliser."""

    to_crop_P23: FloatArray
    """Maps to the 224-pixel crop of each person in which errors in pixels are given."""

    mean_pose_J2: FloatArray
    """Mean pose in such crops: what predicting the same for everybody gives."""

    read: Callable[[Iterable[int]], Iterator[tuple[int, ImageArray]]]
    """Reads the pictures of some rows: each row and its picture, (H, W, 3), uint8 RGB."""


def people_subjects(
    people: Sequence[LabelledPerson],
    *,
    others: Sequence[LabelledPerson] = (),
    description: str,
    group_kind: GroupKind = "picture",
) -> Subjects:
    """Measure labelled people.

    Args:
        people: Whom to measure.
        others: The people whose mean pose is the floor: those to train on, where there are any;
            none takes the measured people themselves.
        description: The protocol in words.
        group_kind: What the people's groups are.
    """

    def read(rows: Iterable[int]) -> Iterator[tuple[int, ImageArray]]:
        for row in rows:
            yield row, read_picture(people[row])

    model_people = others or people
    return Subjects(
        description=description,
        data_hash=data_hash(people),
        group_kind=group_kind,
        groups=[person.group for person in people],
        names=[person.path.name for person in people],
        squares=[person.square for person in people],
        true_PJ2=_labels(people),
        torso_P=np.array([person.torso_px for person in people], np.float32),
        to_crop_P23=_to_crops(people),
        mean_pose_J2=mean_pose(_labels(model_people), _to_crops(model_people)),
        read=read,
    )


def mean_pose(true_PJ2: FloatArray, to_crop_P23: FloatArray) -> FloatArray:
    """Return the mean of labelled joints, (J, 2), in the crops that the maps lead to."""
    mean_J2: FloatArray = np.nanmean(each_transformed(true_PJ2, to_crop_P23), axis=0)
    return mean_J2


def each_transformed(joints_PJ2: FloatArray, maps: Sequence[FloatArray] | FloatArray) -> FloatArray:
    """Apply to the joints of each person the 2x3 map of that person."""
    return np.stack(
        [transform_points(joints, matrix) for joints, matrix in zip(joints_PJ2, maps, strict=True)]
    )


def _labels(people: Sequence[LabelledPerson]) -> FloatArray:
    return np.stack([person.joints_J3[:, :2] for person in people])


def _to_crops(people: Sequence[LabelledPerson]) -> FloatArray:
    """Return the maps to 224-pixel crops; those of FLIC are squashed, as the seed measured."""
    return np.stack(
        [
            np.diag([CROP_PX / person.size_px[0], CROP_PX / person.size_px[1], 1])[:2]
            if person.swapped_colors
            else square_to_crop(person.square, CROP_PX)
            for person in people
        ]
    ).astype(np.float32)
