"""Draws poses on pictures, and makes heads unrecognisable.

Shapes: HWC picture, J3 joints in skeleton order: x, y in pixels and confidence in [0, 1]; NaN for
a joint that is not seen.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray, ImageArray
from poseact.skeleton import BONES, HEAD, JOINTS, L_SHOULDER, R_SHOULDER

Color = tuple[int, int, int]

# Okabe and Ito's palette: told apart by colour-blind people too.
LEFT_COLOR: Final[Color] = (230, 159, 0)
"""Joints of the person's own left."""
RIGHT_COLOR: Final[Color] = (86, 180, 233)
MIDDLE_COLOR: Final[Color] = (240, 228, 66)
_INK: Final[Color] = (255, 255, 255)
_SHADE: Final[Color] = (0, 0, 0)

CONFIDENT: Final = 0.2
"""Confidence below which a joint is drawn hollow and its bones are left out."""

_MOSAIC: Final = 5
"""Squares across a hidden head: too few to know anybody by."""


def draw_pose(
    rgb_HWC: ImageArray,
    joints_J3: FloatArray,
    label: str | None = None,
    *,
    confidences: bool = True,
) -> ImageArray:
    """Draw one person's joints and bones on a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        joints_J3: Joints, (7, 3), pixels of the picture.
        label: Line at the top, such as an action and its score.
        confidences: Whether to write each joint's confidence, in percent, beside it.

    Returns:
        Picture of the same size; the person's left in orange, the right in blue.
    """
    picture = rgb_HWC.copy()
    size = max(1, round(min(picture.shape[:2]) / 160))
    seen = np.isfinite(joints_J3).all(axis=1)
    sure = seen & (joints_J3[:, 2] >= CONFIDENT)
    for a, b in BONES:
        if sure[a] and sure[b]:
            color = color_of(a) if color_of(a) == color_of(b) else MIDDLE_COLOR
            cv2.line(picture, _pixel(joints_J3[a]), _pixel(joints_J3[b]), color, size, cv2.LINE_AA)
    for joint in np.flatnonzero(seen).tolist():
        center, thickness = _pixel(joints_J3[joint]), -1 if sure[joint] else 1
        cv2.circle(picture, center, 2 * size, color_of(joint), thickness, cv2.LINE_AA)
        if confidences:
            place = (center[0] + 3 * size, center[1] - size)
            _write(picture, f"{joints_J3[joint, 2]:.0%}", place, 0.3 * size)
    if label:
        _write(picture, label, (4 * size, 14 * size), 0.45 * size)
    return picture


def hide_head(rgb_HWC: ImageArray, joints_J3: FloatArray) -> ImageArray:
    """Put a mosaic over one person's head, in a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        joints_J3: Joints of the person, (7, 3), pixels of the picture.

    Returns:
        Picture of the same size. Where neither the head nor both shoulders were seen, nobody knows
        where the head is: then all of it is a mosaic.
    """
    found = _head_disc(joints_J3[:, :2])
    if found is None:
        return _mosaic(rgb_HWC)
    center, radius = found
    picture = rgb_HWC.copy()
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(center - radius), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(center + radius), 0, (width, height)).astype(int)
    if x1 > x0 and y1 > y0:
        inside = np.zeros((height, width), np.uint8)
        cv2.circle(inside, _pixel(center), round(radius), 255, -1)
        part = (slice(y0, y1), slice(x0, x1))
        picture[part][inside[part] > 0] = _mosaic(picture[part])[inside[part] > 0]
    return picture


def _head_disc(xy_J2: FloatArray) -> tuple[FloatArray, float] | None:
    """Return centre and radius of a disc that covers face and hair."""
    shoulders = xy_J2[[L_SHOULDER, R_SHOULDER]]
    middle = shoulders.mean(axis=0)
    breadth = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    head = xy_J2[HEAD]
    if np.isfinite(head).all():
        neck = float(np.linalg.norm(head - middle))
        # seen from the side shoulders are narrow, seen from above the neck is short
        sizes = [size for size in (0.55 * breadth, 0.85 * neck) if np.isfinite(size)]
        spread = float(np.nanmax(np.ptp(xy_J2[np.isfinite(xy_J2).all(axis=1)], axis=0)))
        return head, max(sizes, default=max(0.5 * spread, 1.0))
    if np.isfinite(breadth) and breadth > 0:
        above = np.array([0.0, 0.55 * breadth], np.float32)
        return middle - above, 0.7 * breadth
    return None


def _mosaic(rgb_HWC: ImageArray) -> ImageArray:
    height, width = rgb_HWC.shape[:2]
    small = cv2.resize(rgb_HWC, (_MOSAIC, _MOSAIC), interpolation=cv2.INTER_AREA)
    big = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(big, np.uint8)


def color_of(joint: int) -> Color:
    """Return the colour of a joint: of the person's left, right, or neither."""
    side = JOINTS[joint].partition("_")[0]
    return {"l": LEFT_COLOR, "r": RIGHT_COLOR}.get(side, MIDDLE_COLOR)


def _pixel(xy: npt.NDArray[np.floating]) -> tuple[int, int]:
    """Return the pixel that holds a point; far away ones stay within what cv2 can take."""
    x, y = np.clip(np.floor(xy[:2]), -(2**14), 2**14).astype(int).tolist()
    return x, y


def _write(picture: ImageArray, text: str, place: tuple[int, int], scale: float) -> None:
    x, y = place
    # dark copies around it: OpenCV spaces bold letters differently, so that they would not fit
    for dx, dy, color in ((-1, 0, _SHADE), (1, 1, _SHADE), (0, 0, _INK)):
        corner = (x + dx, y + dy)
        cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)


def png_bytes(rgb_HWC: ImageArray) -> bytes:
    """Return a picture, (H, W, 3), uint8 RGB, as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR))[1].tobytes()
