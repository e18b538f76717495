"""Poses in crops: what a model that reads raw coordinates gets to see of them.

Shapes: N poses, J = 7 joints, K columns: x, y and any further ones. The unit is the side of the
crop, the origin its middle.
"""

import numpy as np

from poseact.geometry import FloatArray
from poseact.models.features import normalise

CROP_SIDE = 3.0
"""Side of a crop in body scales: both arms fit in, however they are raised or spread."""

MAX_ZOOM = 2.0
"""Largest factor between a person's size and the one that crops of their own would give them."""

MAX_SHIFT = 0.5
"""Farthest way of a person from the middle, to either side, up and down: anywhere in the crop."""


def in_own_crops(joints_NJK: FloatArray) -> FloatArray:
    """Show every person at the same size in the middle of the crop.

    Args:
        joints_NJK: Poses, (N, 7, K), any unit, y down; NaN where a joint is not seen.

    Returns:
        The same poses in crops, (N, 7, K), float32; x and y all NaN where there is no body scale.
    """
    in_crops_NJK = normalise(joints_NJK)
    in_crops_NJK[..., :2] /= CROP_SIDE
    return in_crops_NJK


def in_any_crops(joints_NJK: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Show every person at any size and place, as cameras and loose crops do.

    Args:
        joints_NJK: Poses, (N, 7, K), as for ``in_own_crops``.
        rng: Source of all chance.

    Returns:
        The same poses, (N, 7, K), half to twice as large as in their own crops, and shifted.
    """
    count = len(joints_NJK)
    zoom_N11 = MAX_ZOOM ** rng.uniform(-1, 1, (count, 1, 1))
    shift_N12 = rng.uniform(-MAX_SHIFT, MAX_SHIFT, (count, 1, 2))
    in_crops_NJK = in_own_crops(joints_NJK)
    in_crops_NJK[..., :2] = in_crops_NJK[..., :2] * zoom_N11 + shift_N12
    return in_crops_NJK
