"""What the action model sees of a pose: distances between joints, free of place and scale.

Shapes: B poses, J = 7 joints in skeleton order, F = 21 pairs of joints. A joint that is not seen is
NaN, and so is every distance to it. The unit of length is the *body scale*: shoulder width plus
the way from the middle of the shoulders to the head. Arms do not enter it, and one of its two parts
stays long when the person turns sideways or bows.
"""

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


def distances(joints_BJ2: FloatArray) -> FloatArray:
    """Measure a pose without regard to where it is and how large.

    Turning or flipping the picture changes nothing either; relabelling left and right does.

    Args:
        joints_BJ2: x and y, (B, 7, 2), any unit; NaN where a joint is not seen.

    Returns:
        Distance of every pair of joints in body scales, (B, 21), float32, in the order of
        ``np.triu_indices(7, 1)``. NaN where either joint is not seen; all NaN where a shoulder or
        the head is not seen or the three coincide.
    """
    pairs_BF2 = joints_BJ2[:, _FIRST] - joints_BJ2[:, _SECOND]
    return _as_float32(np.linalg.norm(pairs_BF2, axis=2) / _body_scale(joints_BJ2)[:, None])


def normalise(joints_BJ2: FloatArray) -> FloatArray:
    """Move the middle of the shoulders to the origin and measure in body scales.

    Args:
        joints_BJ2: x and y, (B, 7, 2), any unit, y down; NaN where a joint is not seen.

    Returns:
        The same poses, (B, 7, 2), float32; all NaN where there is no body scale.
    """
    middle_B2 = _middle_of_shoulders(joints_BJ2)
    scale_B = _body_scale(joints_BJ2)
    return _as_float32((joints_BJ2 - middle_B2[:, None]) / scale_B[:, None, None])


def mirror(joints_BJK: FloatArray, *, swap_labels: bool = True) -> FloatArray:
    """Return the poses of the people's mirror images.

    Args:
        joints_BJK: x, y and any further columns, (B, 7, K), with x = 0 as the mirror.
        swap_labels: Exchange left and right, so that a raised right hand becomes a raised left
            hand. Without it no distance changes.

    Returns:
        Mirrored poses, (B, 7, K).
    """
    flipped = joints_BJK.copy()
    flipped[..., 0] *= -1
    return flipped[:, MIRROR] if swap_labels else flipped


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
