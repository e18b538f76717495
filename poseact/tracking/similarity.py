"""How alike people are by where they and their joints are.

Shape letters: M people on one side, P on the other, J joints.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.tracking.motion import RealArray

BoxArray: TypeAlias = npt.NDArray[np.floating]

JOINT_FALLOFF: Final = 0.2
"""Distance at which two joints are alike by exp(-1/2), in sizes of the box (root of its area): the
widest of COCO's keypoint constants, for joints move between two frames."""


def box_iou(boxes_M4: BoxArray, boxes_P4: BoxArray) -> RealArray:
    """Return the intersection over union of every pair of boxes, (M, P); 0 without area."""
    a_M14, b_1P4 = boxes_M4.astype(np.float64)[:, None], boxes_P4.astype(np.float64)[None]
    sides_MP2 = np.minimum(a_M14[..., 2:], b_1P4[..., 2:]) - np.maximum(
        a_M14[..., :2], b_1P4[..., :2]
    )
    np.maximum(sides_MP2, 0, out=sides_MP2)
    overlap_MP = sides_MP2[..., 0] * sides_MP2[..., 1]
    union_MP = box_area(boxes_M4)[:, None] + box_area(boxes_P4)[None] - overlap_MP
    iou_MP: RealArray = np.divide(
        overlap_MP, union_MP, out=np.zeros_like(overlap_MP), where=union_MP > 0
    )
    return iou_MP


def box_area(boxes_N4: BoxArray) -> RealArray:
    """Return the areas, (N,); 0 for a box that ends before it starts."""
    width_N, height_N = (boxes_N4[:, 2:].astype(np.float64) - boxes_N4[:, :2]).T
    area_N: RealArray = np.maximum(width_N, 0) * np.maximum(height_N, 0)
    return area_N


def likeness(
    boxes_M4: BoxArray, joints_MJ3: RealArray, boxes_P4: BoxArray, joints_PJ3: RealArray
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
    iou_MP = box_iou(boxes_M4, boxes_P4)
    size2_MP = np.sqrt(np.outer(box_area(boxes_M4), box_area(boxes_P4)))
    offset_MPJ2 = joints_MJ3[:, None, :, :2] - joints_PJ3[None, :, :, :2]
    distance2_MPJ = np.square(offset_MPJ2).sum(axis=-1)
    scale_MP1 = 2 * JOINT_FALLOFF**2 * np.maximum(size2_MP, 1e-9)[..., None]
    joint_MPJ = np.exp(-distance2_MPJ / scale_MP1)
    sure_MPJ = np.sqrt(joints_MJ3[:, None, :, 2] * joints_PJ3[None, :, :, 2])
    iou_MP1 = iou_MP[..., None]
    by_joints_MP = (iou_MP1 + sure_MPJ * (joint_MPJ - iou_MP1)).mean(axis=-1)
    likeness_MP: RealArray = (iou_MP + by_joints_MP) / 2
    return likeness_MP
