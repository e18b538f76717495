"""Paints arms and hands, part by part, so that they can go behind and before the trunk."""

import dataclasses
from typing import Final

import numpy as np

from poseact.datasets.rendered.body import NECK, Vector
from poseact.datasets.rendered.figure import L_ARM, NUM_PARTS, R_ARM, TRUNK, Figure
from poseact.datasets.rendered.paint import Brush, paint_tube
from poseact.skeleton import L_ELBOW, L_SHOULDER, L_WRIST, R_ELBOW, R_SHOULDER, R_WRIST

ARMS: Final = (
    (L_SHOULDER, L_ELBOW, L_WRIST, L_ARM),
    (R_SHOULDER, R_ELBOW, R_WRIST, R_ARM),
)


@dataclasses.dataclass(frozen=True)
class ArmPart:
    """Upper arm (0), forearm (1) or hand (2) of one side."""

    kind: int
    side: int
    depth: float


def arm_parts(figure: Figure) -> list[ArmPart]:
    """List the six parts of both arms with their depths, larger is nearer."""
    points = figure.solid.points_P3
    parts = []
    for side, (shoulder, elbow, wrist, _) in enumerate(ARMS):
        z = points[[shoulder, elbow, wrist], 2]
        hand_z = z[2] + 0.05 * figure.solid.hands_23[side, 2]
        parts += [
            ArmPart(0, side, float(z[0] * 0.5 + z[1] * 0.5)),
            ArmPart(1, side, float(z[1] * 0.4 + z[2] * 0.6)),
            ArmPart(2, side, float(hand_z) + 1e-3),
        ]
    return parts


def paint_arm_part(figure: Figure, part: ArmPart, *, shadow: bool) -> None:
    """Paint one part; one before the trunk throws a shadow on it."""
    shoulder, elbow, wrist, group = ARMS[part.side]
    brush = figure.brush(group)
    on = (figure.owner(0), figure.owner(NUM_PARTS)) if shadow else None
    points = figure.solid.points_P3
    if part.kind == 0:
        _paint_upper_arm(figure, points[shoulder], points[elbow], brush, on)
    elif part.kind == 1:
        _paint_forearm(figure, points[elbow], points[wrist], brush, on)
    else:
        _paint_hand(figure, points[wrist], part.side, brush, on)


_Range = tuple[int, int] | None


def _paint_upper_arm(
    figure: Figure, shoulder: Vector, elbow: Vector, brush: Brush, on: _Range
) -> None:
    look, girth = figure.look, figure.look.body.girth**0.7
    a, b = figure.place(np.stack([shoulder, elbow]))
    thick = 0.0300 * girth * figure.near(shoulder), 0.0235 * girth * figure.near(elbow)
    trunk = figure.owner(TRUNK)
    skin_here = look.sleeve in ("none", "short")
    if skin_here:
        bare = look.sleeve == "none"
        top = a if bare else a + 0.4 * (b - a)  # the sleeve covers the rest
        merges = trunk if bare else None
        paint_tube(brush, top, b, thick, look.skin, shadow_on=on, grows_from=merges)
    if look.sleeve == "none":
        return
    loose = look.loose * figure.scale
    end = a + 0.62 * (b - a) if look.sleeve == "short" else b
    flare = 0.008 * figure.scale if look.sleeve == "short" else 0.0
    lower = thick[0] + 0.62 * (thick[1] - thick[0]) if look.sleeve == "short" else thick[1]
    cuff = (thick[0] + loose, lower + loose + flare)
    shadow_on = None if skin_here else on
    paint_tube(brush, a, end, cuff, look.top, shadow_on=shadow_on, grows_from=trunk)


def _paint_forearm(figure: Figure, elbow: Vector, wrist: Vector, brush: Brush, on: _Range) -> None:
    look, girth = figure.look, figure.look.body.girth**0.6
    a, b = figure.place(np.stack([elbow, wrist]))
    thick = 0.0225 * girth * figure.near(elbow), 0.0145 * girth * figure.near(wrist)
    bulge = 0.0035 * figure.scale
    loose = look.loose * figure.scale
    if look.sleeve != "long":
        paint_tube(brush, a, b, thick, look.skin, bulge=bulge, shadow_on=on)
    if look.sleeve == "rolled":
        paint_tube(brush, a, a + 0.22 * (b - a), (thick[0] + loose,) * 2, look.top)
    if look.sleeve == "long":
        cuff = (thick[0] + loose, thick[1] + 0.7 * loose)
        paint_tube(brush, a, a + 0.96 * (b - a), cuff, look.top, bulge=bulge, shadow_on=on)


_FINGERS: Final = ((-0.36, 0.046), (-0.12, 0.054), (0.12, 0.052), (0.36, 0.042))
"""Spread and length of the four fingers, statures."""


def _paint_hand(figure: Figure, wrist: Vector, side: int, brush: Brush, on: _Range) -> None:
    """Paint the palm, four fingers and the thumb; the palm's plane is left to chance."""
    skin = figure.look.skin
    direction = figure.solid.hands_23[side]
    scale = figure.near(wrist)
    start = figure.place(wrist)
    flat_direction = direction[:2] * (1, -1)
    foreshort = float(np.hypot(*flat_direction))
    axis = flat_direction / max(foreshort, 1e-3)
    across = np.array([-axis[1], axis[0]])
    knuckles = start + axis * (0.052 * scale * foreshort)
    paint_tube(brush, start, knuckles, (0.0145 * scale, 0.0205 * scale), skin, shadow_on=on)
    # hanging hands show their edge, raised ones their palm
    spread = 0.5 + 0.5 * float(np.clip(direction[1], 0, 1))
    for turn, length in _FINGERS:
        base = knuckles + across * (turn * 0.040 * scale * (0.6 + 0.4 * spread))
        tip_axis = axis + across * (turn * 0.55 * spread)
        tip = base + tip_axis * (length * scale * foreshort)
        paint_tube(brush, base, tip, (0.0068 * scale, 0.0056 * scale), skin)
    shoulder, neck = figure.place(figure.solid.points_P3[[ARMS[side][0], NECK]])
    inward = 1.0 if np.dot(across, neck - shoulder) > 0 else -1.0  # where the thumb points
    root = start + axis * (0.016 * scale * foreshort) + across * (inward * 0.014 * scale)
    thumb = root + axis * (0.034 * scale * foreshort) + across * (inward * 0.022 * scale * spread)
    paint_tube(brush, root, thumb, (0.0085 * scale, 0.0062 * scale), skin)
