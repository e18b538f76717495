"""What surrounds rendered people: a room, a street or clutter behind them, light, and a camera."""

import dataclasses
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from poseact.datasets.rendered.look import Rgb
from poseact.datasets.rendered.paint import Floats, Light, chance, noise_tile
from poseact.geometry import ImageArray


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light from above, from hard to soft and from warm to cool."""
    x, y = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, -0.2)
    norm = float(np.sqrt(x * x + y * y + 0.64))
    hard = float(rng.uniform(0.35, 0.8))
    warm = float(rng.normal(0, 0.05))
    level = float(rng.uniform(0.75, 1.05))
    return Light(
        direction=(float(x) / norm, float(y) / norm, 0.8 / norm),
        ambient=level * (1 - 0.75 * hard),
        diffuse=level * hard,
        tint=(1 + warm, 1.0, 1 - warm),
    )


def _muted(rng: np.random.Generator) -> Rgb:
    grey = rng.uniform(25, 230)
    r, g, b = np.clip(grey + rng.normal(0, 1, 3) * rng.uniform(3, 30), 0, 255)
    return float(r), float(g), float(b)


def _box(
    image: ImageArray, corner: tuple[float, float], size: tuple[float, float], colour: Rgb
) -> None:
    end = (round(corner[0] + size[0]), round(corner[1] + size[1]))
    cv2.rectangle(image, (round(corner[0]), round(corner[1])), end, colour, -1)


def _panel(
    rng: np.random.Generator,
    image: ImageArray,
    corner: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Paint a box with a rim: a door, a frame, a board."""
    rim, face = max(1.0, image.shape[0] / 150), _muted(rng)
    _box(image, corner, size, (face[0] * 0.6, face[1] * 0.6, face[2] * 0.6))
    inside = (size[0] - 2 * rim, size[1] - 2 * rim)
    _box(image, (corner[0] + rim, corner[1] + rim), inside, face)


def _door(rng: np.random.Generator, image: ImageArray, x: float, floor: float) -> None:
    height, width = image.shape[:2]
    _panel(rng, image, (x, floor - 0.75 * height), (0.25 * width, 0.75 * height))


def _window(rng: np.random.Generator, image: ImageArray, x: float, floor: float) -> None:
    height, width = image.shape[:2]
    y = rng.uniform(-0.1, 0.5) * floor
    w, h = rng.uniform(0.08, 0.35) * width, rng.uniform(0.1, 0.4) * height
    _panel(rng, image, (x, y), (w, h))
    for column in (0.08, 0.52):
        _panel(rng, image, (x + column * w, y + 0.1 * h), (0.4 * w, 0.8 * h))


def _shelves(rng: np.random.Generator, image: ImageArray, x: float, floor: float) -> None:
    del floor
    height, width = image.shape[:2]
    w = rng.uniform(0.1, 0.35) * width
    for y in np.arange(0.1, 0.8, 0.18) * height:
        _panel(rng, image, (x, y), (w, 0.16 * height))
        for book in np.arange(x + 2, x + w - 3, max(3.0, 0.02 * width)):
            tall = rng.uniform(0.08, 0.14) * height
            _box(image, (book, y + 0.155 * height - tall), (0.016 * width, tall), _muted(rng))


def _table(rng: np.random.Generator, image: ImageArray, x: float, floor: float) -> None:
    height, width = image.shape[:2]
    y, w = rng.uniform(0.7, 1.0) * floor, rng.uniform(0.1, 0.4) * width
    _panel(rng, image, (x, y), (w, 0.04 * height))
    for leg in (0.05, 0.85):
        _box(image, (x + leg * w, y), (0.02 * width, height), _muted(rng))


def _plant(rng: np.random.Generator, image: ImageArray, x: float, floor: float) -> None:
    height, width = image.shape[:2]
    top = (round(x), round(floor - 0.4 * height))
    stem = max(1, round(0.01 * width))
    cv2.line(image, (round(x), round(floor)), top, _muted(rng), stem, cv2.LINE_AA)
    size = (round(0.09 * width), round(0.11 * height))
    cv2.ellipse(image, top, size, 0, 0, 360, _muted(rng), -1, cv2.LINE_AA)


_FURNITURE: Final = (_door, _window, _shelves, _table, _plant)


def _room(rng: np.random.Generator, image: ImageArray) -> None:
    height, width = image.shape[:2]
    floor = float(rng.uniform(0.55, 1.15) * height)
    _box(image, (0, 0), (width, height), _muted(rng))
    _box(image, (rng.uniform(-0.3, 1.3) * width, 0), (2 * width, height), _muted(rng))
    _box(image, (0, floor), (width, height), _muted(rng))
    _box(image, (0, floor - 0.02 * height), (width, 0.02 * height), _muted(rng))
    for _ in range(rng.integers(1, 7)):
        furniture = _FURNITURE[rng.integers(len(_FURNITURE))]
        furniture(rng, image, float(rng.uniform(-0.1, 1) * width), floor)


def _street(rng: np.random.Generator, image: ImageArray) -> None:
    height, width = image.shape[:2]
    horizon = rng.uniform(0.3, 0.8) * height
    sky, ground = rng.uniform(150, 250), _muted(rng)
    _box(image, (0, 0), (width, height), (sky * 0.88, sky * 0.94, sky))
    x = rng.uniform(-0.3, 0) * width
    while x < width:
        w, top = rng.uniform(0.12, 0.4) * width, rng.uniform(-0.2, 0.8) * horizon
        _box(image, (x, top), (w, horizon - top), _muted(rng))
        pane = _muted(rng)
        step = max(6.0, rng.uniform(0.04, 0.09) * height)
        for window_y in np.arange(top + step / 2, horizon - step, step):
            for window_x in np.arange(x + step / 2, x + w - step / 2, step):
                _box(image, (window_x, window_y), (0.5 * step, 0.6 * step), pane)
        x += w
    _box(image, (0, horizon), (width, height), ground)
    for _ in range(rng.integers(0, 5)):
        center = (round(rng.uniform(0, 1) * width), round(horizon - 0.1 * height))
        size = (round(rng.uniform(0.04, 0.15) * width), round(rng.uniform(0.05, 0.2) * height))
        shade = rng.uniform(30, 110)
        cv2.ellipse(image, center, size, 0, 0, 360, (0.6 * shade, shade, 0.5 * shade), -1)


def _clutter(rng: np.random.Generator, image: ImageArray) -> None:
    height, width = image.shape[:2]
    image[:] = _muted(rng)
    for _ in range(rng.integers(4, 30)):
        center = rng.uniform(0, 1, 2) * (width, height)
        size = rng.uniform(0.03, 0.4) * height
        if chance(rng, 0.5):
            corners = center + rng.normal(0, size, (rng.integers(3, 6), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], _muted(rng), cv2.LINE_AA)
        else:  # bars and posts, as limb-like as a background gets
            end = center + rng.normal(0, 2 * size, 2)
            cv2.line(image, center.astype(int).tolist(), end.astype(int).tolist(), _muted(rng),
                     max(1, round(0.12 * size)), cv2.LINE_AA)  # fmt: skip


def _studio(rng: np.random.Generator, image: ImageArray) -> None:
    height, width = image.shape[:2]
    corners = np.array([[_muted(rng), _muted(rng)], [_muted(rng), _muted(rng)]], np.float32)
    soft = corners.mean((0, 1)) + 0.4 * (corners - corners.mean((0, 1)))
    image[:] = np.clip(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), 0, 255)


_PLACES: Final[tuple[Callable[[np.random.Generator, ImageArray], None], ...]] = (
    _room, _room, _street, _clutter, _studio,
)  # fmt: skip


_SHARP_PX: Final = 0.3
"""Blur that is not worth the time."""


def _blurred(rgb_HWC: Floats, sigma_px: float) -> Floats:
    if sigma_px < _SHARP_PX:
        return rgb_HWC
    return np.asarray(cv2.GaussianBlur(rgb_HWC, (0, 0), sigma_px), np.float32)


def paint_backdrop(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Paint an empty place.

    Args:
        rng: Decides what it is.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        Picture without people, (height, width, 3), float32, RGB 0 to 255.
    """
    image = np.zeros((height, width, 3), np.uint8)
    _PLACES[rng.integers(len(_PLACES))](rng, image)
    blur = rng.uniform(0, 0.012) * height
    soft = _blurred(image.astype(np.float32), float(blur))
    big = cv2.resize(noise_tile(int(rng.integers(100, 108)), 5), (width, height))
    rows = np.linspace(rng.uniform(0.75, 1.15), rng.uniform(0.75, 1.15), height, dtype=np.float32)
    columns = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.1), width, dtype=np.float32)
    shading = rows[:, None] * columns * (1 + rng.uniform(0, 0.06) * np.asarray(big, np.float32))
    return np.asarray(np.clip(soft * shading[..., None].astype(np.float32), 0, 255), np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """Faults of a camera, the same in every frame but for the noise."""

    blur_px: float = 0.5
    noise: float = 3.0
    """Standard deviation of the noise, grey levels of 255."""
    gamma: float = 1.0
    grey: bool = False
    jpeg_quality: int | None = None


def sample_camera(rng: np.random.Generator, size_px: int) -> Camera:
    """Draw a camera, from a good one to a poor one, for pictures of about ``size_px``."""
    return Camera(
        blur_px=float(rng.gamma(1.5, 0.0018) * size_px),
        noise=float(rng.gamma(1.5, 3.0)),
        gamma=float(np.exp(rng.normal(0, 0.25))),
        grey=chance(rng, 0.1),  # as security cameras at night
        jpeg_quality=int(rng.integers(30, 95)) if chance(rng, 0.6) else None,
    )


def expose(camera: Camera, rgb_HWC: Floats, rng: np.random.Generator) -> ImageArray:
    """Take the picture of a painted scene.

    Args:
        camera: Its faults.
        rgb_HWC: Painted scene, (H, W, 3), float32, RGB 0 to 255.
        rng: Noise of this frame.

    Returns:
        Picture, (H, W, 3), uint8, RGB.
    """
    seen = _blurred(rgb_HWC, camera.blur_px)
    if camera.grey:
        seen = np.repeat(seen.mean(axis=2, keepdims=True), 3, axis=2)
    if camera.noise:
        height, width = seen.shape[:2]
        samples = 1 if camera.grey else 3
        grain = np.empty((height, width * samples), np.int8)
        # a byte of noise per sample: four times faster than drawing floats
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(grain, np.zeros(1), np.full(1, 2 * camera.noise))
        grain_HWC = grain.reshape(height, width, samples).astype(np.float32)
        seen = seen + grain_HWC * np.float32(0.5)
    picture = np.clip(seen, 0, 255).astype(np.uint8)
    if camera.gamma != 1:
        curve = 255 * (np.arange(256) / 255) ** camera.gamma
        picture = np.asarray(cv2.LUT(picture, curve.astype(np.uint8)), np.uint8)
    if camera.jpeg_quality is not None:
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg_quality])[1]
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return picture
