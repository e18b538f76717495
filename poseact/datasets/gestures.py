"""When a pose shows Hello or Namaste: the rules that generated poses keep and `other` poses break.

Shapes: N bodies, J = 7 joints in skeleton order. Poses are in body scales around the middle of the
shoulders, y down (``features.normalise``), shoulders level (``level``).
"""

import dataclasses
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)

Hand: TypeAlias = Literal["left", "right"]
Mask: TypeAlias = npt.NDArray[np.bool_]

SHOULDER_ELBOW_WRIST: Final[dict[Hand, tuple[int, int, int]]] = {
    "left": (L_SHOULDER, L_ELBOW, L_WRIST),
    "right": (R_SHOULDER, R_ELBOW, R_WRIST),
}
"""The joints of each arm."""

CHEST = (0.0, 0.1)
CHEST_HALF_SIZE = (0.3, 0.4)
"""Middle and half size of the region, from chin to chest, where palms meet in Namaste."""


@dataclasses.dataclass(frozen=True)
class Criteria:
    """When a pose counts as Hello or Namaste, lengths in body scales."""

    wrist_above: float
    """Hello: the wrist is at least so far above the middle of the shoulders."""

    off_head: float
    """Hello: it is at least so far from the head; a hand at the face or phone is nearer."""

    forearm_slope: float
    """Hello: the forearm goes sideways at most so many times as far as up."""

    palms_gap: float
    """Namaste: the wrists are at most so far apart."""


CLEAR = Criteria(wrist_above=0.22, off_head=0.38, forearm_slope=1.4, palms_gap=0.34)
"""What a generated Hello or Namaste satisfies. In the seed's training pictures the waving wrist
keeps 0.38 off the head and 0.42 above the shoulders, and joined palms leave the wrists 0.18 apart;
the rest is for joints that are estimated: twice the 0.06 by which each errs."""

DOUBTFUL = Criteria(wrist_above=0.05, off_head=0.27, forearm_slope=2.2, palms_gap=0.42)
"""What no pose labelled ``other`` satisfies; between the two the model is left to interpolate."""


def level(joints_NJ2: FloatArray) -> FloatArray:
    """Turn bodies about the middle of their shoulders until these are level.

    The model sees no more than distances, which turning leaves alone; an arm that is up must
    therefore be up with regard to the body, not to the picture.
    """
    line_N2 = joints_NJ2[:, L_SHOULDER] - joints_NJ2[:, R_SHOULDER]
    line_N2 = line_N2 * np.where(line_N2[:, :1] < 0, -1, 1)  # people seen from behind
    cos_N, sin_N = (line_N2 / np.linalg.norm(line_N2, axis=1, keepdims=True)).T
    rotations_N22 = np.stack([[cos_N, -sin_N], [sin_N, cos_N]]).transpose(2, 0, 1)
    levelled_NJ2: FloatArray = (joints_NJ2 @ rotations_N22).astype(np.float32)
    return levelled_NJ2


def shows_hello(joints_NJ2: FloatArray, criteria: Criteria) -> Mask:
    """Tell who holds exactly one hand up beside or above the head, forearm up: (N,)."""
    return waves(joints_NJ2, "left", criteria) ^ waves(joints_NJ2, "right", criteria)


def shows_namaste(joints_NJ2: FloatArray, criteria: Criteria) -> Mask:
    """Tell whose palms meet between chin and chest: (N,)."""
    left_N2, right_N2 = joints_NJ2[:, L_WRIST], joints_NJ2[:, R_WRIST]
    gap_N = np.linalg.norm(left_N2 - right_N2, axis=1)
    middle_N2 = (left_N2 + right_N2) / 2
    from_chest_N2 = np.abs(middle_N2 - CHEST)
    is_before_chest_N = (from_chest_N2 < CHEST_HALF_SIZE).all(axis=1)
    return np.asarray((gap_N < criteria.palms_gap) & is_before_chest_N)


def is_neutral(joints_NJ2: FloatArray) -> Mask:
    """Tell who clearly neither holds up a hand, or both, nor joins the palms: (N,)."""
    is_raised_N = waves(joints_NJ2, "left", DOUBTFUL) | waves(joints_NJ2, "right", DOUBTFUL)
    return ~(is_raised_N | shows_namaste(joints_NJ2, DOUBTFUL))


def waves(joints_NJ2: FloatArray, side: Hand, criteria: Criteria) -> Mask:
    """Tell who holds this hand up as in Hello, whatever the other does: (N,)."""
    _, elbow, wrist = SHOULDER_ELBOW_WRIST[side]
    forearm_N2 = joints_NJ2[:, wrist] - joints_NJ2[:, elbow]
    head_N2 = joints_NJ2[:, wrist] - joints_NJ2[:, HEAD]
    is_up_N = (joints_NJ2[:, wrist, 1] < -criteria.wrist_above) & (forearm_N2[:, 1] < 0)
    is_steep_N = np.abs(forearm_N2[:, 0]) < -criteria.forearm_slope * forearm_N2[:, 1]
    is_off_head_N = np.linalg.norm(head_N2, axis=1) > criteria.off_head
    return np.asarray(is_up_N & is_steep_N & is_off_head_N)
