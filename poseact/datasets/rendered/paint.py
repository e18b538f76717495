"""Brushes of the renderer: lit, textured, anti-aliased tubes and blobs on a float picture.

Shapes: HWC picture, N2 outline points; positions in pixels, x right and y down.
"""

import dataclasses
import functools
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Point: TypeAlias = npt.NDArray[np.floating]

TILE_PX = 128
"""Side of a material's tile; it repeats."""

NOBODY = -1

_COVERED: Final = 0.5
"""Opacity from which a pixel belongs to what is painted."""

_END_ON_PX: Final = 0.5
"""Length below which a limb points at the camera and has no direction."""


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """What a surface looks like."""

    tile_HWC: Floats
    """Colours, RGB 0 to 255: (TILE_PX, TILE_PX, 3), or (1, 1, 3) for a plain surface."""
    span: float = 0.12
    """Length that one tile covers, statures."""
    folds: float = 0.0
    """Strength of the creases; 0 is smooth."""
    gloss: float = 0.0


@dataclasses.dataclass(frozen=True)
class Light:
    """Where light comes from and how hard it is."""

    direction: tuple[float, float, float]
    """Unit vector towards the light: x right, y down, z towards the camera."""
    ambient: float
    diffuse: float
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Canvas:
    """The picture being painted."""

    rgb_HWC: Floats
    owner_HW: npt.NDArray[np.int16]
    """What each pixel shows: a number given by who paints, or NOBODY."""
    light: Light
    px_per_stature: float


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Throw a die."""
    return bool(rng.random() < probability)


@functools.cache
def noise_tile(seed: int, octaves: int = 4, size: int = 256) -> Floats:
    """Return smooth noise that tiles, (size, size), zero mean and unit variance."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = 4 * 2**octave
        grid = np.pad(rng.normal(size=(cells, cells)).astype(np.float32), 3, mode="wrap")
        step = size / cells
        big = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        start = int(3 * step)
        total += np.asarray(big, np.float32)[start : start + size, start : start + size] * (
            0.5**octave
        )
    total = np.asarray((total - total.mean()) / total.std(), np.float32)
    total.flags.writeable = False
    return total


@functools.cache
def _creases() -> Floats:
    """Slopes of a crumpled cloth, (256, 256, 2), of unit deviation; creases run across a limb."""
    ridged = np.pad(0.6 * noise_tile(8, 3) - np.abs(noise_tile(7, 3)), 64, mode="wrap")
    drawn_out = cv2.GaussianBlur(ridged, (0, 0), sigmaX=7, sigmaY=1.6)
    fine = cv2.GaussianBlur(ridged, (0, 0), 1.6)
    height = (np.asarray(drawn_out) * 1.5 + 0.5 * np.asarray(fine))[63:-63, 63:-63]
    slopes = np.stack(
        [height[1:-1, 2:] - height[1:-1, :-2], height[2:, 1:-1] - height[:-2, 1:-1]], axis=-1
    )
    return np.asarray(slopes / slopes.std(), np.float32)


@dataclasses.dataclass(frozen=True)
class Brush:
    """Paints on a canvas for one owner."""

    canvas: Canvas
    owner: int
    """Number left in ``owner_HW``."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Window:
    """The part of a canvas under a brush, and how a material lies in it."""

    canvas: Canvas
    x0: int
    y0: int
    x1: int
    y1: int
    anchor: Point
    """Where a tile starts, pixels."""
    axis: Point
    """Where its y points to, unit vector."""

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def lay(self, tile_HWC: Floats, span: float) -> Floats:
        """Return the repeated tile under the window; it covers ``span`` statures."""
        scale = tile_HWC.shape[0] / (span * self.canvas.px_per_stature)
        ux, uy = float(self.axis[0]) * scale, float(self.axis[1]) * scale
        dx, dy = self.x0 - float(self.anchor[0]), self.y0 - float(self.anchor[1])
        to_tile = np.array([[uy, -ux, uy * dx - ux * dy], [ux, uy, ux * dx + uy * dy]], np.float64)
        size = (self.x1 - self.x0, self.y1 - self.y0)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(tile_HWC, to_tile, size, flags=flags, borderMode=cv2.BORDER_WRAP)
        return np.asarray(laid, np.float32)


def _window(
    canvas: Canvas, points_N2: Point, margin: float, anchor: Point, axis: Point
) -> _Window | None:
    height, width = canvas.owner_HW.shape
    low, high = points_N2.min(axis=0) - margin, points_N2.max(axis=0) + margin
    x0, y0 = max(0, int(low[0]) - 2), max(0, int(low[1]) - 2)
    x1, y1 = min(width, int(high[0]) + 3), min(height, int(high[1]) + 3)
    return _Window(canvas, x0, y0, x1, y1, anchor, axis) if x1 > x0 and y1 > y0 else None


def _blend(
    window: _Window, alpha_HW: Floats, slope: tuple[Floats, Floats], material: Material, owner: int
) -> None:
    """Light a surface and lay it over the canvas; ``slope`` is x and y of its unit normal."""
    canvas, light = window.canvas, window.canvas.light
    normal_x, normal_y = slope
    if material.folds:
        crease = window.lay(_creases(), 0.30) * np.float32(material.folds)
        normal_x = np.clip(normal_x + crease[..., 0], -0.97, 0.97)
        normal_y = np.clip(normal_y + crease[..., 1], -0.97, 0.97)
    lx, ly, lz = light.direction
    normal_z = np.sqrt(np.maximum(1 - normal_x * normal_x - normal_y * normal_y, 0.02))
    facing = np.maximum(normal_x * lx + normal_y * ly + normal_z * lz, 0)
    shade = light.ambient * (0.75 + 0.25 * normal_z) + light.diffuse * facing
    plain = material.tile_HWC.shape[0] == 1
    colour = material.tile_HWC if plain else window.lay(material.tile_HWC, material.span)
    colour = np.asarray(colour * shade[..., None], np.float32)
    if material.gloss:
        colour += (255 * material.gloss * light.diffuse * facing**12)[..., None]
    colour *= np.array(light.tint, np.float32)
    under = canvas.rgb_HWC[window.slices]
    under += (colour - under) * alpha_HW[..., None]
    canvas.owner_HW[window.slices][alpha_HW > _COVERED] = owner


def paint_tube(  # noqa: PLR0913 - what a limb is, named at every call
    brush: Brush,
    start: Point,
    end: Point,
    radii: tuple[float, float],
    material: Material,
    *,
    bulge: float = 0.0,
    shadow_on: tuple[int, int] | None = None,
    grows_from: int | None = None,
) -> None:
    """Paint a limb: a round bar with round ends.

    Args:
        brush: Canvas and owner.
        start: First end, pixels.
        end: Last end, pixels.
        radii: Radius at both ends, pixels.
        material: Surface; its tile runs along the limb.
        bulge: Radius added halfway, pixels.
        shadow_on: Range of owners, half-open, on which the limb throws a soft shadow.
        grows_from: Owner that the first end merges into without an edge.
    """
    canvas = brush.canvas
    reach = max(radii) + abs(bulge)
    along = np.asarray(end, np.float64) - start
    length = max(float(np.hypot(*along)), 1e-3)
    axis = along / length if length > _END_ON_PX else np.array([0.0, 1.0])
    spread = 2.2 * reach if shadow_on else reach
    window = _window(canvas, np.stack([start, end]), spread, start, axis)
    if window is None:
        return
    ux, uy = float(axis[0]), float(axis[1])
    xs = np.arange(window.x0, window.x1, dtype=np.float32) + np.float32(0.5 - start[0])
    ys = (np.arange(window.y0, window.y1, dtype=np.float32) + np.float32(0.5 - start[1]))[:, None]

    def profile(xs: Floats, ys: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        u = xs * ux + ys * uy
        across = ys * ux - xs * uy
        t: Floats = np.clip(u / length, 0, 1)
        radius = radii[0] + (radii[1] - radii[0]) * t + (4 * bulge) * t * (1 - t)
        beyond = u - t * length
        return u, radius, across, np.sqrt(across * across + beyond * beyond)

    if shadow_on:
        lx, ly, _ = canvas.light.direction
        u, radius, _, distance = profile(
            xs + np.float32(0.5 * reach * lx), ys + np.float32(0.5 * reach * ly)
        )
        dark = np.clip((1.35 * radius - distance) / (0.9 * reach), 0, 1) * 0.4
        owners = canvas.owner_HW[window.slices]
        dark[(owners < shadow_on[0]) | (owners >= shadow_on[1])] = 0
        if grows_from is not None:
            dark *= np.clip(u / (2 * reach) - 0.5, 0, 1)
        canvas.rgb_HWC[window.slices] *= (1 - dark)[..., None]
    u, radius, across, distance = profile(xs, ys)
    alpha = np.clip(radius - distance + 0.5, 0, 1)
    if grows_from is not None:
        merging = np.clip(u / (1.8 * radii[0]) + 0.25, 0, 1)
        alpha = np.where(canvas.owner_HW[window.slices] == grows_from, alpha * merging, alpha)
    side = np.clip(across / radius, -0.96, 0.96)
    _blend(window, alpha, (-uy * side, ux * side), material, brush.owner)


_DOWN: Final = np.array([0.0, 1.0])


def paint_blob(  # noqa: PLR0913 - what a shape is, named at every call
    brush: Brush,
    outline_N2: Point,
    material: Material,
    *,
    roundness_px: float,
    axis: Point = _DOWN,
    opacity: float = 1.0,
) -> None:
    """Paint a shape that is flat in the middle and round at its rim.

    Args:
        brush: Canvas and owner.
        outline_N2: Corners of the outline, pixels.
        material: Surface; its tile hangs at the middle of the outline.
        roundness_px: Width of the rim that bends away; 0 is flat.
        axis: Direction of the tile's y, unit vector.
        opacity: 1 covers what is below.
    """
    window = _window(brush.canvas, outline_N2, 0, outline_N2.mean(axis=0), axis)
    if window is None:
        return
    shape = (window.y1 - window.y0, window.x1 - window.x0)
    mask = np.zeros(shape, np.uint8)
    corners = np.round((outline_N2 - (window.x0 + 0.5, window.y0 + 0.5)) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    level = np.zeros(shape, np.float32)
    slope = _rim_slope(mask, roundness_px) if roundness_px >= 1 else (level, level)
    alpha = mask.astype(np.float32) * np.float32(opacity / 255)
    _blend(window, alpha, slope, material, brush.owner)


def _rim_slope(mask_HW: npt.NDArray[np.uint8], roundness_px: float) -> tuple[Floats, Floats]:
    """Return x and y of the unit normal of a cushion with this outline."""
    depth = np.asarray(cv2.distanceTransform(mask_HW, cv2.DIST_L2, 3), np.float32)
    rim = 1 - np.minimum(depth / np.float32(roundness_px), 1)
    dome = np.float32(roundness_px) * np.sqrt(np.float32(1.02) - rim * rim)
    dome = np.asarray(cv2.GaussianBlur(dome, (0, 0), max(0.8, 0.16 * roundness_px)), np.float32)
    slope_x = np.asarray(cv2.Sobel(dome, cv2.CV_32F, 1, 0, scale=0.125), np.float32)
    slope_y = np.asarray(cv2.Sobel(dome, cv2.CV_32F, 0, 1, scale=0.125), np.float32)
    steep = -1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    return np.asarray(slope_x * steep, np.float32), np.asarray(slope_y * steep, np.float32)


def smooth_curve(corners_N2: Point, per_side: int, *, closed: bool = False) -> Point:
    """Return a Catmull-Rom curve through corners, with ``per_side`` points for each side."""
    if not closed:
        corners_N2 = np.concatenate([corners_N2[:1], corners_N2, corners_N2[-1:]])
    p0, p1 = np.roll(corners_N2, 1, 0), corners_N2
    p2, p3 = np.roll(corners_N2, -1, 0), np.roll(corners_N2, -2, 0)
    t = (np.arange(per_side) / per_side)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    if closed:
        return np.asarray(curve.reshape(-1, 2))
    return np.concatenate([curve[1:-2].reshape(-1, 2), corners_N2[-1:]])


def ellipse(center: Point, radii: tuple[float, float], angle_rad: float = 0.0) -> Point:
    """Return the outline of an ellipse, (24, 2)."""
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], axis=-1)
