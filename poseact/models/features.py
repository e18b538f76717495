"""What the action model sees of a pose: raw coordinates, or numbers free of place and scale.

Shapes: B poses, J = 7 joints in skeleton order, F features; ``...`` stands for further leading
axes. A joint is x, y and a confidence; one that is not seen has NaN for x and y. The unit of length
is the *body scale*: shoulder width plus the way from the middle of the shoulders to the head. Arms
do not enter it, and one of its two parts stays long when the person turns sideways or bows.
"""

import dataclasses
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    MIRROR,
    NUM_JOINTS,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)

NUM_DISTANCES: Final = NUM_JOINTS * (NUM_JOINTS - 1) // 2

RAISED_ABOVE_SHOULDERS = 0.1
"""Body scales by which a raised wrist is higher than the middle of the shoulders."""

_FIRST, _SECOND = np.triu_indices(NUM_JOINTS, k=1)


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """A way to turn a pose into numbers."""

    name: str
    size: int
    measure: Callable[[FloatArray], FloatArray]
    """From joints (B, 7, 3) to features (B, size), float32, NaN where unknown."""


def coordinates(joints_BJ3: FloatArray) -> FloatArray:
    """Take x and y as they are: what the other feature sets are to be compared with.

    Place, scale and the shape of the crop all show. Models trained on these expect joints in the
    sides of the person's crop, from its middle (``datasets.pose_crops``).

    Args:
        joints_BJ3: x, y and any further columns, (B, 7, K); NaN where not seen.

    Returns:
        x1, y1, ..., x7, y7, (B, 14), float32, NaN where not seen.
    """
    return _as_float32(joints_BJ3[..., :2].reshape(len(joints_BJ3), 2 * NUM_JOINTS))


def graph(joints_BJ3: FloatArray) -> FloatArray:
    """Measure a pose as a graph: distances of its nodes, directions of its edges, what is seen.

    Place and scale change nothing. Turning changes the directions, flipping as well.

    Args:
        joints_BJ3: x, y and confidence, (B, 7, 3), any unit; x and y NaN where not seen.

    Returns:
        (B, 47), float32: the 21 ``distances``; the 6 unit vectors from each joint of the chain to
        the next, NaN where either is not seen or both coincide; the 7 confidences, 0 where not
        seen; for each joint 1 if it is seen, else 0.
    """
    steps_BE2 = np.diff(joints_BJ3[..., :2], axis=1)
    length_BE1 = np.linalg.norm(steps_BE2, axis=2, keepdims=True)
    directions_BE2 = steps_BE2 / np.where(length_BE1 > 0, length_BE1, np.nan)
    is_seen_BJ = np.isfinite(joints_BJ3[..., :2]).all(axis=2)
    return np.hstack(
        [
            distances(joints_BJ3),
            directions_BE2.reshape(len(joints_BJ3), 2 * (NUM_JOINTS - 1)),
            np.where(is_seen_BJ, joints_BJ3[..., 2], 0),
            is_seen_BJ,
        ],
        dtype=np.float32,
    )


def distances(joints_BJK: FloatArray) -> FloatArray:
    """Measure a pose without regard to where it is and how large.

    Turning or flipping the picture changes nothing either; relabelling left and right does.

    Args:
        joints_BJK: x, y and any further columns, (B, 7, K), any unit; NaN where a joint is not
            seen.

    Returns:
        Distance of every pair of joints in body scales, (B, 21), float32, in the order of
        ``np.triu_indices(7, 1)``. NaN where either joint is not seen; all NaN where a shoulder or
        the head is not seen or the three coincide.
    """
    joints_BJ2 = joints_BJK[..., :2]
    pairs_BF2 = joints_BJ2[:, _FIRST] - joints_BJ2[:, _SECOND]
    return _as_float32(np.linalg.norm(pairs_BF2, axis=2) / _body_scale(joints_BJ2)[:, None])


FEATURES: Final = {
    feature_set.name: feature_set
    for feature_set in (
        FeatureSet("xy", 2 * NUM_JOINTS, coordinates),
        FeatureSet("distances", NUM_DISTANCES, distances),
        FeatureSet("graph", NUM_DISTANCES + 2 * (NUM_JOINTS - 1) + 2 * NUM_JOINTS, graph),
    )
}
"""Feature sets by name."""


def is_measurable(joints_BJK: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell whose shoulders and head are seen, without which no pose can be told, (B,)."""
    is_measurable_B: npt.NDArray[np.bool_] = np.isfinite(_body_scale(joints_BJK[..., :2]))
    return is_measurable_B


def normalise(joints_BJK: FloatArray) -> FloatArray:
    """Move the middle of the shoulders to the origin and measure in body scales.

    Args:
        joints_BJK: x, y and any further columns, (B, 7, K), any unit, y down; NaN where a joint is
            not seen.

    Returns:
        The same poses, (B, 7, K), float32; x and y all NaN where there is no body scale.
    """
    joints_BJ2 = joints_BJK[..., :2]
    middle_B2 = _middle_of_shoulders(joints_BJ2)
    scale_B = _body_scale(joints_BJ2)
    normalised_BJK = joints_BJK.astype(np.float32)
    normalised_BJK[..., :2] = (joints_BJ2 - middle_B2[:, None]) / scale_B[:, None, None]
    return normalised_BJK


def mirror(joints_BJK: FloatArray, *, swap_labels: bool = True) -> FloatArray:
    """Return the poses of the people's mirror images.

    Args:
        joints_BJK: x, y and any further columns, (..., 7, K), with x = 0 as the mirror.
        swap_labels: Exchange left and right, so that a raised right hand becomes a raised left
            hand. Without it no distance changes.

    Returns:
        Mirrored poses, (..., 7, K).
    """
    flipped = joints_BJK.copy()
    flipped[..., 0] *= -1
    return flipped[..., MIRROR, :] if swap_labels else flipped


def raised_hand(joints_BJK: FloatArray) -> npt.NDArray[np.object_]:
    """Tell which hand each person holds up, upright people in upright pictures assumed.

    Args:
        joints_BJK: x, y and any further columns, (B, 7, K), y down; NaN where not seen.

    Returns:
        "left", "right" (the person's own), "both" or None, (B,). A hand is up if its wrist is
        higher than its elbow and clearly higher than the shoulders; a joint not seen is not up.
    """
    y_BJ = normalise(joints_BJK[..., :2])[..., 1]
    left_B = _is_up(y_BJ, L_WRIST, L_ELBOW)
    right_B = _is_up(y_BJ, R_WRIST, R_ELBOW)
    hand_B = np.full(len(y_BJ), None, dtype=np.object_)
    hand_B[left_B] = "left"
    hand_B[right_B] = "right"
    hand_B[left_B & right_B] = "both"
    return hand_B


def _is_up(y_BJ: FloatArray, wrist: int, elbow: int) -> npt.NDArray[np.bool_]:
    return (y_BJ[:, wrist] < y_BJ[:, elbow]) & (y_BJ[:, wrist] < -RAISED_ABOVE_SHOULDERS)


def _middle_of_shoulders(joints_BJ2: FloatArray) -> FloatArray:
    return _as_float32((joints_BJ2[:, L_SHOULDER] + joints_BJ2[:, R_SHOULDER]) / 2)


def _body_scale(joints_BJ2: FloatArray) -> FloatArray:
    width_B = np.linalg.norm(joints_BJ2[:, L_SHOULDER] - joints_BJ2[:, R_SHOULDER], axis=1)
    neck_B = np.linalg.norm(joints_BJ2[:, HEAD] - _middle_of_shoulders(joints_BJ2), axis=1)
    scale_B = width_B + neck_B
    return _as_float32(np.where(scale_B > 0, scale_B, np.nan))


def _as_float32(values: npt.NDArray[np.floating]) -> FloatArray:
    return values.astype(np.float32, copy=False)
