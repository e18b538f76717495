"""Training pictures in memory: each person on a canvas of one size, with room around for jitter."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poseact.datasets.person import LabelledPerson, read_picture
from poseact.datasets.rendered.training import render_training_person
from poseact.geometry import FloatArray, square_to_crop, transform_points, warp_crop
from poseact.skeleton import NUM_JOINTS

CANVAS_PX = 256
"""Side of a canvas."""

CANVAS_MARGIN = 1.4
"""Side of a canvas over the side of the person's square: the widest view that jitter asks for
without leaving the canvas; beyond it the surroundings are invented."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Canvases:
    """People ready for augmentation; N people, S = CANVAS_PX."""

    rgb_NHWC: npt.NDArray[np.uint8]
    """Pictures, (N, S, S, 3)."""

    joints_NJ3: FloatArray
    """x, y in canvas pixels and weight; weight 0 where there is no label."""

    picture_N4: FloatArray
    """x0, y0, x1, y1 of the part of each canvas that shows the picture, canvas pixels."""

    def __len__(self) -> int:
        """Count the people."""
        return len(self.rgb_NHWC)


def render_canvases(count: int, seed: int) -> Canvases:
    """Render people in any pose, with exact joints.

    Args:
        count: How many.
        seed: Fixes them all.

    Returns:
        The canvases.
    """
    rgb_NHWC = np.empty((count, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    joints_NJ3 = np.empty((count, NUM_JOINTS, 3), np.float32)
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        rgb_NHWC[i], joints_NJ3[i], _ = render_training_person(rng, CANVAS_PX)
    whole = np.array([0, 0, CANVAS_PX, CANVAS_PX], np.float32)
    return Canvases(rgb_NHWC=rgb_NHWC, joints_NJ3=joints_NJ3, picture_N4=np.tile(whole, (count, 1)))


def concatenate(one: Canvases, two: Canvases) -> Canvases:
    """Return the people of both."""
    return Canvases(
        rgb_NHWC=np.concatenate([one.rgb_NHWC, two.rgb_NHWC]),
        joints_NJ3=np.concatenate([one.joints_NJ3, two.joints_NJ3]),
        picture_N4=np.concatenate([one.picture_N4, two.picture_N4]),
    )


def draw_canvases(people: Sequence[LabelledPerson]) -> Canvases:
    """Read the pictures of people and bring each to a canvas.

    Args:
        people: Whom to draw; at least one.

    Returns:
        The canvases in the order of ``people``, 192 kB each.

    Raises:
        InputError: If a picture cannot be read.
    """
    rgb_NHWC = np.empty((len(people), CANVAS_PX, CANVAS_PX, 3), np.uint8)
    joints_NJ3 = np.empty((len(people), NUM_JOINTS, 3), np.float32)
    picture_N4 = np.empty((len(people), 4), np.float32)
    for i, person in enumerate(people):
        center_x, center_y, side = person.square
        matrix = square_to_crop((center_x, center_y, CANVAS_MARGIN * side), CANVAS_PX)
        rgb_NHWC[i] = warp_crop(read_picture(person), matrix, CANVAS_PX)
        joints_NJ3[i, :, :2] = transform_points(person.joints_J3[:, :2], matrix)
        joints_NJ3[i, :, 2] = person.joints_J3[:, 2]
        corners = np.array([(0, 0), person.size_px], np.float32)
        picture_N4[i] = transform_points(corners, matrix).clip(0, CANVAS_PX).ravel()
    return Canvases(rgb_NHWC=rgb_NHWC, joints_NJ3=joints_NJ3, picture_N4=picture_N4)
