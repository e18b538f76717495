"""Paints one person from far to near, and tells what the finished picture shows of it."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.datasets.rendered.arms import arm_parts, paint_arm_part
from poseact.datasets.rendered.body import NECK, Solid
from poseact.datasets.rendered.figure import HEAD_PART, L_ARM, NUM_PARTS, R_ARM, TRUNK, Figure
from poseact.datasets.rendered.head import paint_head, paint_long_hair
from poseact.datasets.rendered.look import Look
from poseact.datasets.rendered.paint import Canvas, Point
from poseact.datasets.rendered.trunk import paint_legs, paint_trunk
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    NUM_JOINTS,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)

Joints: TypeAlias = npt.NDArray[np.float32]


Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


_SHOWN_BY: Final = {
    HEAD: (HEAD_PART,),
    L_SHOULDER: (TRUNK, L_ARM),
    R_SHOULDER: (TRUNK, R_ARM),
    L_ELBOW: (L_ARM,),
    R_ELBOW: (R_ARM,),
    L_WRIST: (L_ARM,),
    R_WRIST: (R_ARM,),
}

_HALF_TRUNK: Final = 0.035
"""Depth behind the spine, in statures, from which the trunk hides an arm."""


def paint_person(
    canvas: Canvas, look: Look, solid: Solid, *, person: int, origin_px: Point
) -> npt.NDArray[np.float32]:
    """Paint a person over what is on the canvas.

    Args:
        canvas: Picture; its ``px_per_stature`` is the height of this person.
        look: Skin, hair and clothes.
        solid: Body in its posture.
        person: Number of the person among those of the picture, from 0.
        origin_px: Where the person stands: between the feet, pixels.

    Returns:
        Joints, (J, 2), pixels, skeleton order, exact and also where hidden.
    """
    figure = Figure(canvas, look, solid, person, np.asarray(origin_px, np.float64))
    facing = solid.head_33[2, 2]
    if facing > 0:
        paint_long_hair(figure)
    parts = arm_parts(figure)
    trunk_z = float(solid.points_P3[NECK, 2])
    behind = [p for p in parts if p.depth < trunk_z - _HALF_TRUNK]
    for part in sorted(behind, key=lambda p: p.depth):
        paint_arm_part(figure, part, shadow=False)
    paint_legs(figure)
    paint_trunk(figure)
    paint_head(figure)
    if facing <= 0:
        paint_long_hair(figure)
    for part in sorted((p for p in parts if p not in behind), key=lambda p: p.depth):
        paint_arm_part(figure, part, shadow=True)
    return np.asarray(figure.place(solid.points_P3[:NUM_JOINTS]), np.float32)


def with_visibility(canvas: Canvas, joints_J2: Joints, person: int) -> Joints:
    """Add to joints, (J, 2), a third column: 1 where the finished picture shows them, else 0."""
    shown = [joint_is_shown(canvas, j, joints_J2[j], person) for j in range(NUM_JOINTS)]
    return np.column_stack([joints_J2, np.array(shown, np.float32)]).astype(np.float32)


def joint_is_shown(canvas: Canvas, joint: int, xy: Point, person: int) -> bool:
    """Tell whether the finished picture shows a joint of a person, rather than what hides it."""
    column, row = int(np.floor(xy[0])), int(np.floor(xy[1]))
    height, width = canvas.owner_HW.shape
    if not (0 <= column < width and 0 <= row < height):
        return False
    owner = int(canvas.owner_HW[row, column]) - person * NUM_PARTS
    return owner in _SHOWN_BY[joint]


def shown_box(canvas: Canvas, person: int) -> Box | None:
    """Return the box of what the finished picture shows of a person; None if nothing."""
    mine = canvas.owner_HW // NUM_PARTS == person
    columns, rows = np.flatnonzero(mine.any(axis=0)), np.flatnonzero(mine.any(axis=1))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
