"""Paints heads: skull, hair, ears and a face that turns."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from poseact.datasets.rendered.body import SKULL
from poseact.datasets.rendered.figure import HEAD_PART, TRUNK, Figure
from poseact.datasets.rendered.look import darker, flat
from poseact.datasets.rendered.paint import (
    Brush,
    Material,
    Point,
    ellipse,
    paint_blob,
    paint_tube,
    smooth_curve,
)

# Face in the head's axes, statures from the middle of the skull: x left, y up, z forward.
_FACE_RIM: Final = (
    (0.0, 0.047, 0.040), (0.024, 0.044, 0.036), (0.040, 0.026, 0.022), (0.0435, 0.0, 0.010),
    (0.041, -0.024, 0.010), (0.033, -0.045, 0.016), (0.018, -0.061, 0.030), (0.0, -0.066, 0.036),
)  # fmt: skip
_FACE_RIDGE: Final = (
    (0.0, 0.03, 0.052), (0.0, 0.0, 0.055), (0.0, -0.03, 0.055), (0.0, -0.05, 0.050),
)  # fmt: skip
_BEARD_RIM: Final = (
    (0.041, -0.022, 0.012), (0.035, -0.047, 0.016), (0.018, -0.066, 0.032), (0.02, -0.026, 0.044),
    (0.0, -0.04, 0.056),
)  # fmt: skip
_PEAK: Final = (
    (0.038, 0.036, 0.03), (0.0, 0.036, 0.098), (-0.038, 0.036, 0.03), (0.0, 0.046, 0.05),
)  # fmt: skip
_SKULL_RADII: Final = (0.0465, 0.050, 0.058)


# Cosines of the turn away from the camera.
_BOTH_EARS_SEEN: Final = 0.5
_GRAZING: Final = 0.12
_FACE_SEEN: Final = -0.35


def _on_head(figure: Figure, *spots: tuple[float, float, float]) -> Point:
    turned = np.array(spots) @ figure.solid.head_33.T
    return figure.place(figure.solid.points_P3[SKULL] + turned)


def _hull(points_N2: Point) -> Point:
    return np.asarray(cv2.convexHull(points_N2.astype(np.float32))[:, 0], np.float32)


def _both_sides(rim: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    return [(side * x, y, z) for side in (1, -1) for x, y, z in rim]


def _dab(
    brush: Brush,
    center: Point,
    radii: tuple[float, float],
    material: Material,
    opacity: float = 1.0,
) -> None:
    """Paint a flat upright ellipse; radii in statures."""
    scale = brush.canvas.px_per_stature
    outline = ellipse(center, (radii[0] * scale, radii[1] * scale))
    paint_blob(brush, outline, material, roundness_px=0, opacity=opacity)


def paint_long_hair(figure: Figure) -> None:
    """Paint hair that falls down the back, if there is any."""
    look, scale = figure.look, figure.scale
    if look.hair_style != "long":
        return
    top, low = _on_head(figure, (0.0, 0.0, -0.012), (0.0, -0.115, -0.03))
    width = (0.056 * scale, 0.062 * scale)
    paint_tube(figure.brush(HEAD_PART), top, low, width, look.hair)


def paint_head(figure: Figure) -> None:
    """Paint the head but for long hair."""
    look, scale = figure.look, figure.scale
    brush = figure.brush(HEAD_PART)
    turn = figure.solid.head_33
    jaw_shadow = _on_head(figure, (0.0, -0.062, 0.02))[0]
    _dab(figure.brush(TRUNK), jaw_shadow, (0.034, 0.022), flat((10, 8, 8)), opacity=0.22)
    bald = look.hair_style == "bald"
    if look.hair_style == "bun":
        bun = _on_head(figure, (0.0, 0.045, -0.055))[0]
        outline = ellipse(bun, (0.028 * scale, 0.026 * scale))
        paint_blob(brush, outline, look.hair, roundness_px=0.025 * scale)
    grow = {"bald": 1.0, "short": 1.05, "full": 1.17, "bun": 1.07}.get(look.hair_style, 1.13)
    paint_blob(
        brush,
        _skull_outline(figure, grow, (0.0, 0.014, -0.008)),
        look.skin if bald else look.hair,
        roundness_px=0.05 * scale,
    )
    ears = [s for s in (1, -1) if (turn @ np.array([s, 0.0, 0.25]))[2] > 0]
    if look.hair_style not in ("long", "full"):
        for side in (1, -1) if turn[2, 2] > _BOTH_EARS_SEEN else ears:
            ear = _on_head(figure, (side * 0.047, -0.006, -0.002))[0]
            size = (0.010 * scale, 0.017 * scale)
            paint_blob(brush, ellipse(ear, size), look.skin, roundness_px=0.008 * scale)
    if turn[2, 2] <= _FACE_SEEN:
        return
    _paint_face(figure, brush)
    if look.hair_style == "cap":
        paint_blob(brush, _hull(_on_head(figure, *_PEAK)), look.hair, roundness_px=0.01 * scale)


def _skull_outline(figure: Figure, grow: float, shift: tuple[float, float, float]) -> Point:
    """Return the outline of the skull's ellipsoid, seen from the camera, (24, 2)."""
    turn = figure.solid.head_33[:2] * np.array(_SKULL_RADII)
    eigenvalues, axes = np.linalg.eigh(turn @ turn.T)
    (center,) = _on_head(figure, shift)
    radii = np.sqrt(eigenvalues) * grow * figure.scale
    angle = float(np.arctan2(-axes[1, 0], axes[0, 0]))
    return ellipse(center, (float(radii[0]), float(radii[1])), angle)


def _paint_face(figure: Figure, brush: Brush) -> None:
    look, scale = figure.look, figure.scale
    face = _hull(_on_head(figure, *_both_sides(_FACE_RIM), *_FACE_RIDGE))
    paint_blob(brush, smooth_curve(face, 3, closed=True), look.skin, roundness_px=0.04 * scale)
    if look.beard:
        beard = smooth_curve(_hull(_on_head(figure, *_both_sides(_BEARD_RIM))), 3, closed=True)
        paint_blob(brush, beard, look.hair, roundness_px=0.03 * scale, opacity=0.85)
    # features narrow as the head turns
    turn = figure.solid.head_33
    squeeze = float(np.clip(turn[0, 0] * np.sign(turn[2, 2]), 0.3, 1))
    for side in (1, -1):
        if _seen(figure, side * 0.75):
            _paint_eye(figure, brush, side, squeeze)
    if _seen(figure, 0.0):
        _paint_mouth(figure, brush, squeeze)
    _paint_nose(figure, brush, squeeze)


def _seen(figure: Figure, x: float) -> bool:
    """Tell whether the side of the face that points to (x, 0, 1) looks to the camera."""
    return bool((figure.solid.head_33 @ np.array([x, 0.0, 1.0]))[2] > _GRAZING)


def _paint_eye(figure: Figure, brush: Brush, side: int, squeeze: float) -> None:
    look, scale = figure.look, figure.scale
    eye, inner, outer = _on_head(
        figure,
        (side * 0.0185, 0.004, 0.047),
        (side * 0.008, 0.018, 0.052),
        (side * 0.029, 0.018, 0.044),
    )
    _dab(brush, eye, (0.0125 * squeeze, 0.0085), darker(look.skin, 0.72), opacity=0.4)
    _dab(brush, eye, (0.0082 * squeeze, 0.0035), flat((206, 200, 196)))
    _dab(brush, eye, (0.0038 * squeeze, 0.0037), flat((38, 26, 20)))
    brow = flat((40, 30, 24)) if look.hair_style in ("bald", "cap") else look.hair
    paint_tube(brush, inner, outer, (0.0026 * scale, 0.0018 * scale), brow)
    if look.glasses:
        rim = ellipse(eye, (0.0165 * squeeze * scale, 0.0125 * scale))[::3]
        for a, b in zip(rim, np.roll(rim, -1, axis=0), strict=True):
            paint_tube(brush, a, b, (0.0014 * scale,) * 2, flat((24, 22, 22)))


def _paint_mouth(figure: Figure, brush: Brush, squeeze: float) -> None:
    mouth = _on_head(figure, (0.0, -0.037, 0.056))[0]
    _dab(brush, mouth, (0.0155 * squeeze, 0.0048), flat(figure.look.lips), opacity=0.9)
    half = np.array([0.014 * squeeze * figure.scale, 0.0])
    line = (0.0011 * figure.scale,) * 2
    paint_tube(brush, mouth - half, mouth + half, line, flat((60, 26, 24)))


def _paint_nose(figure: Figure, brush: Brush, squeeze: float) -> None:
    skin, scale = figure.look.skin, figure.scale
    bridge, tip, under = _on_head(
        figure, (0.0, 0.006, 0.053), (0.0, -0.016, 0.064), (0.0, -0.022, 0.057)
    )
    _dab(brush, under, (0.010 * squeeze, 0.004), darker(skin, 0.72), opacity=0.8)
    paint_tube(brush, bridge, tip, (0.0045 * scale, 0.0085 * scale), darker(skin, 1.04))
