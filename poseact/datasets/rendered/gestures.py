"""What rendered people do with their arms through time: hello, namaste, and everything else."""

import dataclasses
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import numpy as np

from poseact.datasets.rendered.body import ArmPair, Body, Vector, unit

Side: TypeAlias = Literal["left", "right"]


BLEND_S: Final = 0.5
"""Time in which the arms go from one act to the next."""


_RESTS: Final = 0.85

_SHOULDER_LIMIT: Final = -0.45
"""How far an upper arm reaches inward and backward, in its own lengths."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manner:
    """How one person does one gesture, so that no two are alike."""

    raise_rad: float = 1.2
    """Angle of a waving upper arm from the hanging position."""
    tilt_rad: float = 0.0
    swing_rad: float = 0.45
    rate_hz: float = 1.4
    phase_rad: float = 0.0
    forward: float = 0.3
    rests: bool = True
    """Whether the other arm hangs while one waves; else its hand is on the hip."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the wrists from the usual place, statures."""


def sample_manner(rng: np.random.Generator) -> Manner:
    """Draw a way to do a gesture."""
    x, y, z = rng.normal(0, 0.012, 3)
    return Manner(
        raise_rad=float(rng.uniform(0.7, 2.3)),
        tilt_rad=float(rng.uniform(-0.15, 0.35)),
        swing_rad=float(rng.uniform(0.2, 0.55)),
        rate_hz=float(rng.uniform(0.9, 2.0)),
        phase_rad=float(rng.uniform(0, 2 * np.pi)),
        forward=float(rng.uniform(0.1, 0.45)),
        rests=bool(rng.random() < _RESTS),
        offset=(float(x), float(y), float(z)),
    )


def _arm(*directions: tuple[float, float, float]) -> Vector:
    return unit(np.array(directions, np.float64))


def _reach(
    body: Body,
    wrist: tuple[float, float, float],
    pole: tuple[float, float, float],
    hand: tuple[float, float, float],
) -> Vector:
    """Return the arm whose wrist is at a place (from its shoulder), its elbow towards ``pole``."""
    a, b = body.upper_arm, body.forearm
    target = np.array(wrist)
    distance = float(np.clip(np.linalg.norm(target), abs(a - b) + 0.02, (a + b) * 0.999))
    along = unit(target)
    bend = unit(np.array(pole) - np.dot(pole, along) * along)
    lengthwise = (a * a - b * b + distance * distance) / (2 * distance)
    elbow = along * lengthwise + bend * np.sqrt(max(a * a - lengthwise**2, 0.0))
    return unit(np.stack([elbow, along * distance - elbow, np.array(hand)]))


def _hang(m: Manner, t_s: float) -> Vector:
    sway = 0.03 * np.sin(2 * np.pi * 0.3 * t_s + m.phase_rad)
    return _arm((0.13 + sway, -1, 0.03), (0.04 + sway, -1, 0.18), (0.0, -1, 0.2))


def _wave(m: Manner, t_s: float) -> Vector:
    a = m.raise_rad
    upright = max(0.0, a - 1.6)  # an arm raised above the shoulder stretches
    w = m.tilt_rad + upright * 0.4 + m.swing_rad * np.sin(2 * np.pi * m.rate_hz * t_s + m.phase_rad)
    return _arm(
        (np.sin(a), -np.cos(a), m.forward),
        (np.sin(w), np.cos(w), 0.6 * m.forward),
        (np.sin(1.3 * w), np.cos(1.3 * w), 0.05),
    )


def _moved(m: Manner, x: float, y: float, z: float) -> tuple[float, float, float]:
    return x + m.offset[0], y + m.offset[1], z + m.offset[2]


def _hello(body: Body, m: Manner, t_s: float) -> ArmPair:
    on_hip = _reach(body, (0.06, -0.26, 0.03), (1, 0, -0.4), (-0.6, -0.5, 0.2))
    return _wave(m, t_s), _hang(m, t_s) if m.rests else on_hip


def _namaste(body: Body, m: Manner, t_s: float) -> ArmPair:
    bob = 0.006 * np.sin(2 * np.pi * 0.5 * t_s + m.phase_rad)
    place = (0.016 - body.shoulder_half, -0.115 + 2 * m.offset[1] + bob, 0.15 + m.offset[2])
    arm = _reach(body, place, (0.8, -1, -0.2), (-0.16, 1, 0.2))
    return arm, arm


def _idle(body: Body, m: Manner, t_s: float) -> ArmPair:
    del body
    return _hang(m, t_s), _hang(m, t_s + 0.4)


def _crossed(body: Body, m: Manner, t_s: float) -> ArmPair:
    del t_s
    over = _reach(body, _moved(m, -0.15, -0.17, 0.135), (0.7, -1, 0.1), (-1, 0.25, -0.2))
    under = _reach(body, _moved(m, -0.13, -0.19, 0.10), (0.7, -1, 0.1), (-1, 0.1, -0.3))
    return over, under


def _phone(body: Body, m: Manner, t_s: float) -> ArmPair:
    place = _moved(m, -0.012, 0.035, 0.045)
    return _reach(body, place, (1, -0.9, 0.4), (-0.35, 1, -0.1)), _hang(m, t_s)


def _hips(body: Body, m: Manner, t_s: float) -> ArmPair:
    del t_s
    arm = _reach(body, _moved(m, 0.03, -0.255, 0.03), (1, 0, -0.3), (-0.8, -0.6, 0.3))
    return arm, arm


def _point(body: Body, m: Manner, t_s: float) -> ArmPair:
    out = np.sin(m.phase_rad) * 0.8 + 0.3
    direction = (out, -0.35 + 6 * m.offset[1], 0.9)
    nod = 0.02 * np.sin(2 * np.pi * 0.4 * t_s)
    arm = _reach(
        body,
        (0.28 * direction[0], 0.28 * direction[1] + nod, 0.28 * direction[2]),
        (0.4, -1, 0),
        direction,
    )
    return arm, _hang(m, t_s)


def _clasp(body: Body, m: Manner, t_s: float) -> ArmPair:
    del t_s
    shift = 0.03 - body.shoulder_half
    arm = _reach(body, _moved(m, shift, -0.27, 0.11), (1, -0.4, -0.5), (-0.8, -0.4, 0.3))
    return arm, arm


def _drink(body: Body, m: Manner, t_s: float) -> ArmPair:
    lift = 0.5 - 0.5 * np.cos(2 * np.pi * 0.25 * t_s + m.phase_rad)
    place = (-0.07, -0.20 + 0.22 * lift, 0.19 - 0.05 * lift)
    return _reach(body, place, (0.8, -1, 0), (-0.6, 0.6, 0.2)), _hang(m, t_s)


def _chin(body: Body, m: Manner, t_s: float) -> ArmPair:
    del t_s
    up = _reach(body, _moved(m, -0.08, -0.045, 0.12), (0.3, -1, 0.2), (-0.3, 1, 0.0))
    across = _reach(body, _moved(m, -0.12, -0.19, 0.10), (0.7, -1, 0.1), (-1, 0.1, 0.1))
    return up, across


def _handle(body: Body, m: Manner, t_s: float) -> ArmPair:
    jitter = 0.012 * np.sin(2 * np.pi * 1.1 * t_s + m.phase_rad)
    first = _reach(body, _moved(m, -0.04, -0.17 + jitter, 0.2), (0.6, -1, 0), (-0.3, 0.1, 1))
    second = _reach(body, _moved(m, -0.05, -0.17 - jitter, 0.2), (0.6, -1, 0), (-0.3, 0.1, 1))
    return first, second


GESTURES: Final[dict[str, Callable[[Body, Manner, float], ArmPair]]] = {
    "hello": _hello,
    "namaste": _namaste,
    "idle": _idle,
    "crossed": _crossed,
    "phone": _phone,
    "hips": _hips,
    "point": _point,
    "clasp": _clasp,
    "drink": _drink,
    "chin": _chin,
    "handle": _handle,
}
"""Arms through time, the acting arm first. All but hello and namaste are the action ``other``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """One gesture of one person for a while."""

    gesture: str
    hand: Side = "left"
    start_s: float
    end_s: float
    manner: Manner = dataclasses.field(default_factory=Manner)

    def __post_init__(self) -> None:
        if self.gesture not in GESTURES:
            raise ValueError(f"gesture must be one of {sorted(GESTURES)}, got {self.gesture!r}")


def act(body: Body, acting: Act, t_s: float) -> ArmPair:
    """Return the arms of a person who acts, left arm first.

    Args:
        body: Proportions; they decide where an elbow goes when a hand is at its place.
        acting: What is done, and with which hand.
        t_s: Time, seconds; any, also outside the act.

    Returns:
        Directions of the left and the right arm, (3, 3) each, both as if they were left.
    """
    acting_arm, other_arm = GESTURES[acting.gesture](body, acting.manner, t_s)
    return (acting_arm, other_arm) if acting.hand == "left" else (other_arm, acting_arm)


def action_of(gesture: str) -> str:
    """Return the action that a gesture counts as: its own name, or ``other``."""
    return gesture if gesture in ("hello", "namaste") else "other"


def share_of(acting: Act, t_s: float) -> float:
    """Return how far an act is on at a time, 0 to 1, easing in and out around its ends."""
    edge = min(t_s - acting.start_s, acting.end_s - t_s) / BLEND_S + 0.5
    x = float(np.clip(edge, 0.0, 1.0))
    return x * x * (3 - 2 * x)


def blend_arms(rest: ArmPair, active: ArmPair, share: float) -> ArmPair:
    """Mix two pairs of arms; ``share`` 0 gives the first, 1 the second."""
    left, right = (unit(a + share * (b - a) + 1e-6) for a, b in zip(rest, active, strict=True))
    return left, right


def random_arm(rng: np.random.Generator) -> Vector:
    """Draw any arm a living person can hold: shoulder in a wide cone, elbow bent 0 to 145 deg."""
    while True:
        upper = unit(rng.normal(size=3) * (1.0, 1.0, 0.8) + (0.25, -0.45, 0.2))
        if min(upper[0], upper[2]) > _SHOULDER_LIMIT:
            break
    flexion = np.deg2rad(145) * rng.beta(1.2, 1.5)
    # a forearm bends to the front and up, never through the elbow's back
    bend = np.array([-0.5, 0.9, 1.0]) + rng.normal(size=3)
    bend = unit(bend - np.dot(bend, upper) * upper)
    fore = np.cos(flexion) * upper + np.sin(flexion) * bend
    return unit(np.stack([upper, fore, fore + 0.35 * rng.normal(size=3)]))
