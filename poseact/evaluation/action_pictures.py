"""The labelled pictures as the shipped pose model sees them."""

import dataclasses
from pathlib import Path

from poseact.datasets.actions import ActionPoses
from poseact.datasets.person import read_rgb
from poseact.geometry import upper_body_square
from poseact.models.features import normalise
from poseact.models.looks import look_twice
from poseact.models.runtime import load_pose


def estimate_joints(pictures: ActionPoses, folder: Path) -> ActionPoses:
    """Find the joints of people in pictures anew.

    Args:
        pictures: Poses whose groups are the names of the pictures.
        folder: Where the pictures are.

    Returns:
        The same people with the joints that the shipped pose bundle finds.

    Raises:
        InputError: If a picture cannot be read.
    """
    shown = [read_rgb(folder / str(name)) for name in pictures.groups_N]
    squares = [upper_body_square((0, 0, rgb.shape[1], rgb.shape[0])) for rgb in shown]
    joints_NJ3 = look_twice(load_pose(None), shown, squares)
    return dataclasses.replace(pictures, joints_NJ3=normalise(joints_NJ3))
