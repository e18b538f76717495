"""How alike people are by where they and their joints are.

Shape letters: M people on one side, P on the other, J joints.
"""

from typing import Final

import numpy as np

from poseact.geometry import box_iou
from poseact.tracking.motion import RealArray

JOINT_FALLOFF: Final = 0.2
"""Distance at which two joints are alike by exp(-1/2), in sizes of the box (root of its area): the
widest of COCO's keypoint constants, for joints move between two frames."""


def likeness(
    boxes_M4: RealArray, joints_MJ3: RealArray, boxes_P4: RealArray, joints_PJ3: RealArray
) -> RealArray:
    """Tell how alike the people of each pair are.

    Half of it is the overlap of the boxes, half the mean over the joints of exp(-d^2 / 2), d in
    ``JOINT_FALLOFF`` sizes. A joint counts by how surely both have it; for the rest of it the
    boxes speak.

    Args:
        boxes_M4: x0 y0 x1 y1.
        joints_MJ3: x, y, confidence in [0, 1], in the same pixels; confidence 0 and a finite
            place for a joint that is not seen.
        boxes_P4: The others' boxes.
        joints_PJ3: The others' joints.

    Returns:
        Likeness, (M, P), in [0, 1].

    Source:
        The joints as in COCO's object keypoint similarity.
    """
    iou_MP = box_iou(boxes_M4.astype(np.float32), boxes_P4.astype(np.float32))
    offset_MPJ2 = joints_MJ3[:, None, :, :2] - joints_PJ3[None, :, :, :2]
    distance2_MPJ = np.square(offset_MPJ2).sum(axis=-1)
    size2_MP = np.sqrt(np.outer(_area(boxes_M4), _area(boxes_P4)))
    joint_MPJ = np.exp(distance2_MPJ / (-2 * JOINT_FALLOFF**2 * size2_MP[..., None]))
    sure_MPJ = np.sqrt(joints_MJ3[:, None, :, 2] * joints_PJ3[None, :, :, 2])
    by_joints_MP = iou_MP + (sure_MPJ * (joint_MPJ - iou_MP[..., None])).mean(axis=-1)
    likeness_MP: RealArray = (iou_MP + by_joints_MP) / 2
    return likeness_MP


def _area(boxes_N4: RealArray) -> RealArray:
    """Return the areas, (N,), at least a square pixel."""
    width_N, height_N = (boxes_N4[:, 2:] - boxes_N4[:, :2]).T
    area_N: RealArray = np.maximum(width_N * height_N, 1)
    return area_N
