"""Paints legs, trunk and neck with the clothes on them."""

from typing import Final

import numpy as np

from poseact.datasets.rendered.body import (
    L_ANKLE,
    L_HIP,
    L_KNEE,
    NECK,
    R_ANKLE,
    R_HIP,
    R_KNEE,
    SKULL,
)
from poseact.datasets.rendered.figure import LEGS, TRUNK, Figure
from poseact.datasets.rendered.look import darker
from poseact.datasets.rendered.paint import Brush, Point, paint_blob, paint_tube, smooth_curve

# Trunk in slices from the neck down: height between hip and shoulder (0 to 1), half width, half
# depth in statures. From anthropometric tables, then by eye.
_TRUNK: Final = (
    (1.20, 0.032, 0.030),
    (1.145, 0.052, 0.036),
    (1.095, 0.084, 0.042),
    (1.02, 0.108, 0.047),
    (0.90, 0.113, 0.055),
    (0.70, 0.101, 0.064),
    (0.35, 0.083, 0.058),
    (0.05, 0.090, 0.062),
    (-0.10, 0.096, 0.066),
    (-0.13, 0.096, 0.066),
)


_CHEST_SEEN: Final = 0.25
"""Cosine of the trunk's turn from which its front is painted."""

_SHOULDER_BLADES: Final = 0.9
"""Level from which bone, not fat, makes the width."""


def paint_legs(figure: Figure) -> None:
    """Paint shoes, legs and trousers or skirt, unless all below the picture."""
    points, look, brush = figure.solid.points_P3, figure.look, figure.brush(LEGS)
    if figure.place(points[L_HIP])[1] > figure.canvas.owner_HW.shape[0] + 0.2 * figure.scale:
        return
    scale, girth = figure.scale, look.body.girth
    legs = [(L_HIP, L_KNEE, L_ANKLE), (R_HIP, R_KNEE, R_ANKLE)]
    for hip, knee, ankle in sorted(legs, key=lambda leg: float(points[leg[1], 2])):
        a, b, c = figure.place(points[[hip, knee, ankle]])
        cloth = look.skin if look.skirt else look.bottom
        toe = figure.place(points[ankle] + figure.solid.trunk_33 @ np.array([0.0, -0.022, 0.085]))
        paint_tube(brush, c, toe, (0.023 * scale, 0.018 * scale), look.shoe)
        shin = (0.036 * girth * scale, 0.026 * scale)
        paint_tube(brush, b, c, shin, cloth, bulge=0.004 * scale)
        thigh = (0.049 * girth * scale, 0.038 * girth * scale)
        paint_tube(brush, a, b, thigh, cloth)
    if look.skirt:
        hips = figure.place(points[[L_HIP, R_HIP]])
        knees = figure.place(points[[L_KNEE, R_KNEE]])
        middle, low = hips.mean(0), knees.mean(0)
        top, hem = 0.085 * girth * scale, 0.125 * girth * scale
        waist = middle - np.array([0.0, 0.06 * scale])
        wide, flared = np.array([top, 0.0]), np.array([hem, 0.0])
        outline = np.stack([waist - wide, waist + wide, low + flared, low - flared])
        paint_blob(brush, outline, look.bottom, roundness_px=0.05 * scale)


def paint_trunk(figure: Figure) -> None:
    """Paint the dressed trunk and the neck."""
    look, solid = figure.look, figure.solid
    scale, brush = figure.scale, figure.brush(TRUNK)
    spine = figure.place(solid.points_P3[[NECK, L_HIP, R_HIP]])
    axis = (spine[1] + spine[2]) / 2 - spine[0]
    axis /= np.hypot(*axis)
    outline = _trunk_outline(figure, look.loose)
    paint_blob(brush, outline, look.top, roundness_px=0.062 * scale, axis=axis)
    if solid.trunk_33[2, 2] > _CHEST_SEEN:
        _paint_chest(figure, brush)
    neck_base = solid.points_P3[NECK] + solid.trunk_33 @ np.array([0.0, -0.022, 0.002])
    jaw = solid.points_P3[SKULL] + solid.head_33 @ np.array([0.0, -0.03, -0.006])
    a, b = figure.place(np.stack([neck_base, jaw]))
    girth = look.body.girth**0.5
    thick = 0.034 * girth * scale, 0.028 * girth * scale
    paint_tube(brush, a, b, thick, look.skin)
    if look.neckline in ("high", "collar"):
        _paint_collar(figure, a, axis, thick[0], brush)


def _trunk_outline(figure: Figure, widen: float) -> Point:
    """Return the outline of the dressed trunk, (N, 2): right side down, left side up."""
    solid, body = figure.solid, figure.look.body
    pelvis = (solid.points_P3[L_HIP] + solid.points_P3[R_HIP]) / 2
    height = body.shoulder_y - body.hip_y
    turn = solid.trunk_33
    wide_x, deep_x = abs(turn[0, 0]), abs(turn[0, 2])
    breadth = body.shoulder_half / 0.101
    sides: tuple[list[Point], list[Point]] = ([], [])
    for level, half_width, half_depth in _TRUNK:
        girth = body.girth ** (0.5 if level >= _SHOULDER_BLADES else 1.0)
        w, d = half_width * breadth * girth, half_depth * girth
        half = float(np.hypot(w * wide_x, d * deep_x)) + widen
        center = pelvis + turn @ np.array([0.0, level * height, 0.0])
        middle = figure.place(center)
        across = np.array([turn[1, 1], turn[0, 1]])  # stays square to a leaning spine
        sides[0].append(middle - across * half * figure.scale)
        sides[1].append(middle + across * half * figure.scale)
    return np.concatenate(
        [smooth_curve(np.array(s), 4)[::d] for s, d in zip(sides, (1, -1), strict=True)]
    )


def _front(figure: Figure, x: float, level: float, z: float) -> Point:
    """Return the pixel of a spot on the chest: x statures to the left, level 0 hip to 1."""
    solid, body = figure.solid, figure.look.body
    pelvis = (solid.points_P3[L_HIP] + solid.points_P3[R_HIP]) / 2
    up = level * (body.shoulder_y - body.hip_y)
    return figure.place(pelvis + solid.trunk_33 @ np.array([x, up, z]))


def _paint_chest(figure: Figure, brush: Brush) -> None:
    """Paint what the front of the clothes shows: neckline, opening, tie, buttons."""
    look = figure.look
    if look.jacket:
        opening = [
            (0.036, 1.09, 0.03),
            (0.012, 0.45, 0.062),
            (0.02, -0.12, 0.064),
            (-0.02, -0.12, 0.064),
            (-0.012, 0.45, 0.062),
            (-0.036, 1.09, 0.03),
        ]
        outline = np.array([_front(figure, *spot) for spot in opening])
        paint_blob(brush, outline, look.inner, roundness_px=0.01 * figure.scale)
        _paint_lapels(figure, brush)
        if look.tie:
            tie = [
                (0.009, 1.03, 0.05),
                (0.012, 0.5, 0.066),
                (0.0, 0.42, 0.066),
                (-0.012, 0.5, 0.066),
                (-0.009, 1.03, 0.05),
            ]
            outline = np.array([_front(figure, *spot) for spot in tie])
            paint_blob(brush, outline, look.bottom, roundness_px=0.008 * figure.scale)
        return
    depth = {"round": 0.985, "vee": 0.86, "collar": 0.96, "high": 1.06}[look.neckline]
    neckline = [
        (0.042, 1.09, 0.02),
        (0.022, (1.06 + depth) / 2, 0.045),
        (0.0, depth, 0.055),
        (-0.022, (1.06 + depth) / 2, 0.045),
        (-0.042, 1.09, 0.02),
    ]
    outline = np.array([_front(figure, *spot) for spot in neckline])
    paint_blob(brush, outline, look.skin, roundness_px=0)
    if look.neckline == "collar":
        seam = np.array([_front(figure, 0.0, level, 0.064) for level in (0.98, -0.1)])
        dark = darker(look.top, 0.72)
        paint_tube(brush, seam[0], seam[1], (0.0022 * figure.scale,) * 2, dark)


def _paint_lapels(figure: Figure, brush: Brush) -> None:
    dark = darker(figure.look.top, 0.85)
    for side in (1, -1):
        lapel = [
            (0.036, 1.10, 0.03),
            (0.072, 0.84, 0.056),
            (0.056, 0.80, 0.058),
            (0.012, 0.46, 0.064),
        ]
        outline = np.array([_front(figure, side * x, level, z) for x, level, z in lapel])
        paint_blob(brush, outline, dark, roundness_px=0.008 * figure.scale)


def _paint_collar(figure: Figure, base: Point, axis: Point, radius: float, brush: Brush) -> None:
    look, scale = figure.look, figure.scale
    cloth = look.inner if look.jacket else look.top
    if look.neckline == "high":
        band = base - axis * (0.02 * scale)
        paint_tube(brush, base, band, (radius * 1.12,) * 2, cloth)
        return
    if figure.solid.trunk_33[2, 2] < _CHEST_SEEN:  # its points are in front
        return
    light = darker(cloth, 1.06)
    for side in (1, -1):
        flap = [
            (0.040, 1.115, 0.01),
            (0.046, 1.03, 0.04),
            (0.020, 0.975, 0.056),
            (0.004, 1.03, 0.055),
        ]
        outline = np.array([_front(figure, side * x, level, z) for x, level, z in flap])
        paint_blob(brush, outline, light, roundness_px=0.006 * scale)
