"""How a rendered person is built and what a posture makes of it in space.

Lengths are in statures (the height of the person). Points live in the scene's axes: x to the
picture's right, y up from the floor, z towards the camera; the person stands at the origin. An
arm is three unit directions, upper arm, forearm and hand, written for a *left* arm of somebody who
faces the camera (x away from the body, y up, z forward); a right arm is the mirror image.
"""

import dataclasses
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

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

Vector: TypeAlias = npt.NDArray[np.float64]


ArmPair: TypeAlias = tuple[Vector, Vector]


NECK, SKULL, L_HIP, R_HIP, L_KNEE, R_KNEE, L_ANKLE, R_ANKLE, NUM_POINTS = range(
    NUM_JOINTS, NUM_JOINTS + 9
)
"""Points of a body beyond the joints of the skeleton."""


FACE_POINT: Final = np.array([0.0, -0.001, 0.050])
"""Mean of both eyes and the nose, from the middle of the skull, in the head's axes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """Proportions of one person, in statures."""

    shoulder_half: float = 0.101
    hip_half: float = 0.052
    upper_arm: float = 0.170
    forearm: float = 0.146
    shoulder_y: float = 0.815
    hip_y: float = 0.525
    skull_y: float = 0.925
    girth: float = 1.0
    """Width of trunk and limbs over that of a lean adult."""


def sample_body(rng: np.random.Generator) -> Body:
    """Draw the proportions of an adult."""

    def near(value: float, spread: float) -> float:
        return float(value * np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))

    return Body(
        shoulder_half=near(0.101, 0.07),
        upper_arm=near(0.170, 0.05),
        forearm=near(0.146, 0.05),
        shoulder_y=near(0.815, 0.008),
        skull_y=near(0.925, 0.006),
        girth=float(np.clip(rng.gamma(12, 0.085), 0.8, 1.5)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posture:
    """One moment of a body."""

    arms: tuple[Vector, Vector]
    """Directions of the left and of the right arm, (3, 3) each, both as if they were left."""
    yaw_rad: float = 0.0
    """Turn about the vertical; 0 faces the camera, positive turns to the picture's right."""
    lean_rad: float = 0.0
    """Sideways lean of the trunk, positive to the person's left."""
    bow_rad: float = 0.0
    head_yaw_rad: float = 0.0
    """Turn of the head against the trunk."""
    head_pitch_rad: float = 0.0
    head_roll_rad: float = 0.0
    stride_rad: float | None = None
    """Phase of a walking step; None stands."""


@dataclasses.dataclass(frozen=True)
class Solid:
    """A body in space: its points and the turns of trunk and head."""

    points_P3: Vector
    trunk_33: Vector
    head_33: Vector
    hands_23: Vector
    """Directions of the left and the right hand."""


def unit(rows: Vector) -> Vector:
    """Return vectors, (..., 3), at length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def rotation(yaw_rad: float, pitch_rad: float, roll_rad: float) -> Vector:
    """Return the 3x3 matrix that rolls, then pitches forward, then turns to the picture's right."""
    cy, sy = np.cos(yaw_rad), np.sin(yaw_rad)
    cp, sp = np.cos(pitch_rad), np.sin(pitch_rad)
    cr, sr = np.cos(roll_rad), np.sin(roll_rad)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return np.asarray(yaw @ pitch @ roll)


def stand(body: Body, posture: Posture) -> Solid:
    """Put a body into a posture.

    Args:
        body: Proportions, statures.
        posture: Arms, turn, lean and stride.

    Returns:
        Points, (NUM_POINTS, 3), statures, scene axes, with the turns and hand directions.
    """
    trunk = rotation(posture.yaw_rad, posture.bow_rad, posture.lean_rad)
    head = trunk @ rotation(posture.head_yaw_rad, posture.head_pitch_rad, posture.head_roll_rad)
    points = np.zeros((NUM_POINTS, 3))
    bounce = 0.0 if posture.stride_rad is None else 0.006 * np.cos(2 * posture.stride_rad)
    pelvis = np.array([0.0, body.hip_y + bounce, 0.0])
    shoulder_up = body.shoulder_y - body.hip_y
    points[NECK] = pelvis + trunk @ (0, shoulder_up + 0.03, -0.005)
    points[SKULL] = (
        points[NECK]
        + trunk @ (0, 0.035, 0.006)
        + head
        @ (
            0,
            body.skull_y - body.shoulder_y - 0.065,
            0.006,
        )
    )
    points[HEAD] = points[SKULL] + head @ FACE_POINT
    hands = np.zeros((2, 3))
    chains = ((L_SHOULDER, L_ELBOW, L_WRIST), (R_SHOULDER, R_ELBOW, R_WRIST))
    for index, ((shoulder, elbow, wrist), arm) in enumerate(zip(chains, posture.arms, strict=True)):
        side = np.array([1.0 if index == 0 else -1.0, 1.0, 1.0])
        upper, fore, hand = arm * side
        shrug = max(0.0, float(arm[0, 1])) * 0.035  # a raised arm lifts its shoulder
        start = side * (body.shoulder_half - shrug * 0.5, shoulder_up + shrug, 0.0)
        points[shoulder] = pelvis + trunk @ start
        points[elbow] = points[shoulder] + trunk @ (upper * body.upper_arm)
        points[wrist] = points[elbow] + trunk @ (fore * body.forearm)
        hands[index] = trunk @ hand
    _place_legs(body, posture, pelvis, points)
    return Solid(points, trunk, head, hands)


def _place_legs(body: Body, posture: Posture, pelvis: Vector, points: Vector) -> None:
    turn = rotation(posture.yaw_rad, 0, 0)
    thigh, shin = body.hip_y * 0.49, body.hip_y * 0.44
    legs = ((L_HIP, L_KNEE, L_ANKLE, 1.0), (R_HIP, R_KNEE, R_ANKLE, -1.0))
    for hip, knee, ankle, side in legs:
        swing, bend = 0.0, 0.03
        if posture.stride_rad is not None:
            swing = 0.42 * side * np.sin(posture.stride_rad)
            bend = 0.15 + 0.4 * max(0.0, side * np.cos(posture.stride_rad))
        points[hip] = pelvis + turn @ (side * body.hip_half, 0.0, 0.0)
        ahead = (0.06 * side, -np.cos(swing), np.sin(swing))
        back = (0.02 * side, -np.cos(swing - bend), np.sin(swing - bend))
        points[knee] = points[hip] + turn @ ahead * thigh
        points[ankle] = points[knee] + turn @ back * shin
