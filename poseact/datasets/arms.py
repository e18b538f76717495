"""Arms generated on real bodies: Hello, Namaste, and poses that are easily taken for them.

Shapes: N bodies, J = 7 joints in skeleton order; poses as in ``gestures``. Arm positions below are
*outward, down*: outward is away from the body on the arm's own side, so that people seen from
behind are served as well. An elbow is given from its own shoulder, a wrist from the middle of the
shoulders.

The ranges come from looking: FLIC's upper arms measure 0.40-0.74 body scales and its forearms
0.19-0.58 (5th to 95th percentile); shoulders lie 0.3 from the middle and the head 0.4 above it.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from poseact.datasets.gestures import (
    CLEAR,
    DOUBTFUL,
    SHOULDER_ELBOW_WRIST,
    Hand,
    Mask,
    shows_hello,
    shows_namaste,
    waves,
)
from poseact.geometry import FloatArray

Range: TypeAlias = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Arm:
    """Where an elbow and a wrist may be, each axis drawn alone."""

    elbow_out: Range
    elbow_down: Range
    wrist_out: Range
    wrist_down: Range


HAND_ON_HIP = Arm((0.25, 0.55), (0.35, 0.6), (0.1, 0.5), (0.65, 1.05))
HAND_AT_CHIN = Arm((-0.1, 0.3), (0.25, 0.6), (-0.1, 0.18), (-0.25, 0.1))
HAND_AT_EAR = Arm((0.05, 0.45), (-0.1, 0.55), (0.1, 0.3), (-0.6, -0.1))
HAND_ON_HEAD = Arm((0.2, 0.5), (-0.45, 0.15), (-0.1, 0.2), (-0.7, -0.45))
HAND_BEFORE_CHEST = Arm((0.0, 0.3), (0.25, 0.6), (-0.3, 0.2), (0.05, 0.55))
HAND_AT_SHOULDER = Arm((0.0, 0.4), (0.3, 0.65), (0.2, 0.65), (-0.04, 0.3))
HANDS_APART = Arm((-0.05, 0.3), (0.3, 0.6), (0.22, 0.6), (0.0, 0.6))
HANDS_IN_LAP = Arm((-0.05, 0.25), (0.45, 0.7), (-0.08, 0.15), (0.62, 1.0))
ARM_CROSSED = Arm((0.0, 0.25), (0.35, 0.65), (-0.5, -0.12), (0.2, 0.6))
ARM_SPREAD = Arm((0.3, 0.65), (-0.15, 0.3), (0.75, 1.3), (-0.1, 0.5))
ARM_HANGING = Arm((0.0, 0.25), (0.4, 0.7), (0.2, 0.6), (0.75, 1.3))

WAVE_ELBOW_OUT: Range = (0.0, 0.5)
WAVE_ELBOW_DOWN: Range = (-0.55, 0.5)
WAVE_FOREARM: Range = (0.25, 0.7)
WAVE_LEAN_DEG: Range = (-45.0, 60.0)
"""Forearm of a waving hand against the vertical, positive outward."""

_MAX_DRAWS = 1000

_SIDES: Final[tuple[Hand, Hand]] = ("left", "right")


def draw_hello(bodies_NJ2: FloatArray, rng: np.random.Generator, hand: Hand) -> FloatArray:
    """Let every body wave with one hand; the other arm stays, or is hidden in some.

    Args:
        bodies_NJ2: Neutral poses, (N, 7, 2), body scales.
        rng: Source of all chance.
        hand: The hand that waves.

    Returns:
        Poses, (N, 7, 2). All of them show Hello by the ``CLEAR`` criteria.
    """
    other: Hand = "left" if hand == "right" else "right"
    return _redraw(
        lambda poses: _raise_hand(poses, rng, hand),
        _hide_wrists(bodies_NJ2, rng, (other,), share=0.2),
        until=lambda poses: waves(poses, hand, CLEAR) & ~waves(poses, other, DOUBTFUL),
    )


def draw_namaste(bodies_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Let every body join the palms before chest or chin, elbows out.

    Args:
        bodies_NJ2: Poses, (N, 7, 2), body scales.
        rng: Source of all chance.

    Returns:
        Poses, (N, 7, 2). All of them show it by the ``CLEAR`` criteria. The wrists lie below the
        palms and therefore apart.
    """
    return _redraw(
        lambda poses: _join_palms(poses, rng),
        bodies_NJ2,
        until=lambda poses: shows_namaste(poses, CLEAR),
    )


def draw_hard_negative(bodies_NJ2: FloatArray, rng: np.random.Generator, kind: str) -> FloatArray:
    """Let every body strike a pose that is neither Hello nor Namaste, but near one.

    Args:
        bodies_NJ2: Poses, (N, 7, 2), body scales.
        rng: Source of all chance.
        kind: Key of ``HARD_NEGATIVES``.

    Returns:
        Poses, (N, 7, 2); NaN for wrists out of view. None shows either by the ``DOUBTFUL``
        criteria.
    """
    draw = HARD_NEGATIVES[kind]
    return _redraw(
        lambda poses: draw(poses, rng),
        bodies_NJ2,
        until=lambda poses: ~(shows_hello(poses, DOUBTFUL) | shows_namaste(poses, DOUBTFUL)),
    )


def draw_hard_negatives(bodies_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Let every body strike a hard negative of a random kind, (N, 7, 2)."""
    kinds_N = rng.choice(list(HARD_NEGATIVES), size=len(bodies_NJ2))
    poses_NJ2 = bodies_NJ2.copy()
    for kind in HARD_NEGATIVES:
        poses_NJ2[kinds_N == kind] = draw_hard_negative(bodies_NJ2[kinds_N == kind], rng, kind)
    return poses_NJ2


def _redraw(
    draw: Callable[[FloatArray], FloatArray],
    bodies_NJ2: FloatArray,
    *,
    until: Callable[[FloatArray], Mask],
) -> FloatArray:
    poses_NJ2 = draw(bodies_NJ2)
    for _ in range(_MAX_DRAWS):
        rejected = np.flatnonzero(~until(poses_NJ2))
        if not rejected.size:
            return poses_NJ2
        poses_NJ2[rejected] = draw(bodies_NJ2[rejected])
    raise ValueError(f"{len(rejected)} bodies cannot take the pose: are they all neutral?")


def _outward(poses_NJ2: FloatArray, side: Hand) -> FloatArray:
    shoulder, _, _ = SHOULDER_ELBOW_WRIST[side]
    return np.where(poses_NJ2[:, shoulder, 0] < 0, -1, 1).astype(np.float32)


def _raise_hand(poses_NJ2: FloatArray, rng: np.random.Generator, side: Hand) -> FloatArray:
    shoulder, elbow, wrist = SHOULDER_ELBOW_WRIST[side]
    count = len(poses_NJ2)
    outward_N = _outward(poses_NJ2, side)
    lean_N = np.radians(rng.uniform(*WAVE_LEAN_DEG, count))
    forearm_N = rng.uniform(*WAVE_FOREARM, count)
    raised_NJ2 = poses_NJ2.copy()
    raised_NJ2[:, elbow] = poses_NJ2[:, shoulder] + np.stack(
        [outward_N * rng.uniform(*WAVE_ELBOW_OUT, count), rng.uniform(*WAVE_ELBOW_DOWN, count)], 1
    )
    raised_NJ2[:, wrist] = raised_NJ2[:, elbow] + forearm_N[:, None] * np.stack(
        [outward_N * np.sin(lean_N), -np.cos(lean_N)], 1
    )
    return raised_NJ2


def _join_palms(poses_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
    count = len(poses_NJ2)
    palms_N2 = np.stack([rng.normal(0, 0.06, count), rng.uniform(-0.2, 0.38, count)], axis=1)
    half_gap_N2 = np.stack([rng.uniform(0.0, 0.15, count), rng.normal(0, 0.04, count)], axis=1)
    joined_NJ2 = poses_NJ2.copy()
    for side, sign in zip(_SIDES, (1, -1), strict=True):
        shoulder, elbow, wrist = SHOULDER_ELBOW_WRIST[side]
        outward_N = _outward(poses_NJ2, side)
        elbow_N2 = np.stack([rng.uniform(-0.15, 0.35, count), rng.uniform(0.2, 0.7, count)], 1)
        joined_NJ2[:, elbow] = poses_NJ2[:, shoulder] + elbow_N2 * _per_side(outward_N)
        apart_N2 = half_gap_N2 * np.stack([outward_N, np.full(count, sign)], axis=1)
        joined_NJ2[:, wrist] = palms_N2 + apart_N2
    return joined_NJ2


def _place_arms(*arms: Arm) -> Callable[[FloatArray, np.random.Generator], FloatArray]:
    """Return a function that gives random sides the arms; with one arm the other stays."""

    def place(poses_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
        placed_NJ2 = poses_NJ2.copy()
        starts_left_N = _flip_coins(rng, len(poses_NJ2))
        for index, arm in enumerate(arms):
            for side in _SIDES:
                on_side = np.flatnonzero(starts_left_N == ((side == "left") ^ bool(index)))
                placed_NJ2[on_side] = _place_arm(placed_NJ2[on_side], rng, side, arm)
        return placed_NJ2

    return place


def _place_arm(poses_NJ2: FloatArray, rng: np.random.Generator, side: Hand, arm: Arm) -> FloatArray:
    shoulder, elbow, wrist = SHOULDER_ELBOW_WRIST[side]
    count = len(poses_NJ2)
    sides_N2 = _per_side(_outward(poses_NJ2, side))
    elbow_N2 = np.stack([rng.uniform(*arm.elbow_out, count), rng.uniform(*arm.elbow_down, count)])
    wrist_N2 = np.stack([rng.uniform(*arm.wrist_out, count), rng.uniform(*arm.wrist_down, count)])
    placed_NJ2 = poses_NJ2.copy()
    placed_NJ2[:, elbow] = poses_NJ2[:, shoulder] + elbow_N2.T * sides_N2
    placed_NJ2[:, wrist] = wrist_N2.T * sides_N2
    return placed_NJ2


def _flip_coins(rng: np.random.Generator, count: int) -> Mask:
    return rng.integers(2, size=count).astype(bool)


def _per_side(outward_N: FloatArray) -> FloatArray:
    return np.stack([outward_N, np.ones_like(outward_N)], axis=1)


def _raise_both(poses_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
    raised_NJ2 = poses_NJ2
    for side in _SIDES:
        raised_NJ2 = _redraw(
            partial(_raise_hand, rng=rng, side=side),
            raised_NJ2,
            until=partial(waves, side=side, criteria=CLEAR),
        )
    return raised_NJ2


def _lose_wrists(poses_NJ2: FloatArray, rng: np.random.Generator) -> FloatArray:
    return _hide_wrists(poses_NJ2, rng, _SIDES, share=0.7)


def _hide_wrists(
    poses_NJ2: FloatArray, rng: np.random.Generator, sides: tuple[Hand, ...], *, share: float
) -> FloatArray:
    """Cut wrists off by the picture's lower edge: unknown, or put on that edge by an estimator."""
    hidden_NJ2 = poses_NJ2.copy()
    edge_N = rng.uniform(0.45, 0.9, len(poses_NJ2))
    for side in sides:
        _, _, wrist = SHOULDER_ELBOW_WRIST[side]
        is_hidden_N = rng.random(len(poses_NJ2)) < share
        is_unknown_N = is_hidden_N & _flip_coins(rng, len(poses_NJ2))
        hidden_NJ2[is_hidden_N, wrist, 1] = np.minimum(poses_NJ2[:, wrist, 1], edge_N)[is_hidden_N]
        hidden_NJ2[is_unknown_N, wrist] = np.nan
    return hidden_NJ2


HARD_NEGATIVES: Final[dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]]] = {
    "arms crossed": _place_arms(ARM_CROSSED, ARM_CROSSED),
    "hand at chin": _place_arms(HAND_AT_CHIN),
    "hand at ear": _place_arms(HAND_AT_EAR),
    "hand on head": _place_arms(HAND_ON_HEAD),
    "hand at shoulder": _place_arms(HAND_AT_SHOULDER),
    "hand before chest": _place_arms(HAND_BEFORE_CHEST, ARM_HANGING),
    "hands apart": _place_arms(HANDS_APART, HANDS_APART),
    "hands in lap": _place_arms(HANDS_IN_LAP, HANDS_IN_LAP),
    "hand on hip": _place_arms(HAND_ON_HIP),
    "arm spread": _place_arms(ARM_SPREAD),
    "arms spread": _place_arms(ARM_SPREAD, ARM_SPREAD),
    "arms hanging": _place_arms(ARM_HANGING, ARM_HANGING),
    "both hands up": _raise_both,
    "wrists out of view": _lose_wrists,
}
"""Poses that are ``other``: how to draw each."""
