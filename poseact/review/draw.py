"""Draws poses and boxes on pictures, and makes heads unrecognisable.

Shapes: HWC picture, J3 joints in skeleton order: x, y in pixels and confidence in [0, 1]; NaN for
a joint that is not seen.
"""

import colorsys
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

_HEADS_TALL: Final = 8
"""Heads that a standing adult measures: no disc over a head is smaller than the box says."""

_GOLDEN_ANGLE: Final = (5**0.5 - 1) / 2
"""Turns from one hue to the next: it never comes back to one, and neighbours differ most."""


def draw_pose(
    rgb_HWC: ImageArray,
    joints_J3: FloatArray,
    label: str | None = None,
    *,
    confidences: bool = True,
    width_px: int | None = None,
) -> ImageArray:
    """Draw one person's joints and bones on a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        joints_J3: Joints, (7, 3), pixels of the picture.
        label: Line at the top, such as an action and its score.
        confidences: Whether to write each joint's confidence, in percent, beside it.
        width_px: Width of a bone; left out, one that suits a person who fills the picture.

    Returns:
        Picture of the same size; the person's left in orange, the right in blue.
    """
    picture = rgb_HWC.copy()
    size = width_px or max(1, round(min(picture.shape[:2]) / 160))
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


def draw_box(rgb_HWC: ImageArray, box_xyxy: FloatArray, text: str, color: Color) -> ImageArray:
    """Draw a box and a line of text on a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        box_xyxy: Box, (4,), pixels of the picture; it may leave the picture.
        text: Stands on the upper edge of the box, or below it where there is no room above.
        color: Of the box and behind the text.

    Returns:
        Picture of the same size.
    """
    picture = rgb_HWC.copy()
    height, width = picture.shape[:2]
    line, scale = max(2, round(min(height, width) / 300)), max(0.45, min(height, width) / 1000)
    corner, opposite = _pixel(box_xyxy[:2]), _pixel(box_xyxy[2:])
    cv2.rectangle(picture, corner, opposite, color, line)
    (text_width, text_height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = max(0, min(corner[0], width - text_width))
    y = max(corner[1] - below - line, text_height + line)
    backdrop = (x - line, y - text_height - line), (x + text_width + line, y + below)
    cv2.rectangle(picture, *backdrop, color, cv2.FILLED)
    _write(picture, text, (x, y), scale)
    return picture


def color_of_track(track_id: int) -> Color:
    """Return the colour of a person: the same in every frame, and not that of any other."""
    value = 1.0 if track_id % 2 else 0.75
    red, green, blue = colorsys.hsv_to_rgb(track_id * _GOLDEN_ANGLE % 1, 0.85, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def hide_head(
    rgb_HWC: ImageArray, joints_J3: FloatArray, box_xyxy: FloatArray | None = None
) -> ImageArray:
    """Put a mosaic over one person's head, in a copy of a picture.

    Args:
        rgb_HWC: Picture, (H, W, 3), uint8 RGB.
        joints_J3: Joints of the person, (7, 3), pixels of the picture.
        box_xyxy: Box of the person, (4,), pixels of the picture.

    Returns:
        Picture of the same size. Where neither the head nor both shoulders were seen, nobody knows
        where the head is: then all of the box is a mosaic, or without a box all of the picture.
    """
    found = _head_disc(joints_J3[:, :2])
    if found is None:
        return hide_all(rgb_HWC, box_xyxy)
    center, radius = found
    if box_xyxy is not None:
        radius = max(radius, float(box_xyxy[3] - box_xyxy[1]) / (2 * _HEADS_TALL))
    picture = rgb_HWC.copy()
    part = _part(picture, center - radius, center + radius)
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(inside, _pixel(center), round(radius), 255, -1)
    if picture[part].size:
        picture[part][inside[part] > 0] = _mosaic(picture[part])[inside[part] > 0]
    return picture


def hide_all(rgb_HWC: ImageArray, box_xyxy: FloatArray | None = None) -> ImageArray:
    """Put a mosaic over a box, or over everything, in a copy of a picture, (H, W, 3), uint8 RGB."""
    picture = rgb_HWC.copy()
    part = ... if box_xyxy is None else _part(picture, box_xyxy[:2], box_xyxy[2:])
    if picture[part].size:
        picture[part] = _mosaic(picture[part])
    return picture


def _part(picture: ImageArray, low_xy: FloatArray, high_xy: FloatArray) -> tuple[slice, slice]:
    """Return the rows and columns between two corners that lie inside of a picture."""
    size = picture.shape[1::-1]
    x0, y0 = np.clip(np.floor(low_xy), 0, size).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(high_xy), 0, size).astype(int).tolist()
    return slice(y0, y1), slice(x0, x1)


def _head_disc(xy_J2: FloatArray) -> tuple[FloatArray, float] | None:
    """Return centre and radius of a disc that covers face and hair, None if there is no telling."""
    shoulders = xy_J2[[L_SHOULDER, R_SHOULDER]]
    middle = shoulders.mean(axis=0)
    breadth = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    head = xy_J2[HEAD]
    if np.isfinite(head).all():
        neck = float(np.linalg.norm(head - middle))
        # seen from the side shoulders are narrow, seen from above the neck is short
        sizes = [size for size in (0.55 * breadth, 0.85 * neck) if np.isfinite(size)]
        spread = float(np.ptp(xy_J2[np.isfinite(xy_J2).all(axis=1)], axis=0).max())
        radius = max(sizes, default=0.5 * spread)
        return (head, radius) if radius > 0 else None
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
