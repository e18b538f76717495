"""The display matrix: how a container says that its pictures must be turned before they are shown.

The matrix ``(a, b, c, d)`` takes a stored point ``(x, y)`` to ``(a x + c y, b x + d y)``, y down.
Cameras write quarter turns, and front cameras mirrored ones; anything else is taken as the nearest.
"""

from typing import Any, TypeAlias

import numpy as np
from av.video.frame import VideoFrame

from poseact.geometry import ImageArray

DisplayMatrix: TypeAlias = tuple[int, int, int, int]

UPRIGHT: DisplayMatrix = (1, 0, 0, 1)


def display_matrix(frame: VideoFrame) -> DisplayMatrix:
    """Return the matrix that comes with a decoded frame; ``UPRIGHT`` where there is none."""
    side_data: Any = frame.side_data  # its annotation lists motion vectors only
    entry = side_data.get("DISPLAYMATRIX")
    if entry is None:
        return UPRIGHT
    # nine fixed-point numbers, rows (a, b, u), (c, d, v), (x, y, w)
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(entry), np.int32))
    return a, b, c, d


def swaps_sides(matrix: DisplayMatrix) -> bool:
    """Tell whether width and height change places."""
    a, b, _, _ = matrix
    return abs(b) > abs(a)


def clockwise_deg(matrix: DisplayMatrix) -> int:
    """Return the clockwise turn, 0, 90, 180 or 270, that follows a mirroring, if there is one."""
    a, b, c, d = matrix
    if a * d < b * c:
        a, b = -a, -b
    if abs(b) > abs(a):
        return 90 if b > 0 else 270
    return 0 if a >= 0 else 180


def upright(picture_HWC: ImageArray, matrix: DisplayMatrix) -> ImageArray:
    """Turn, and mirror if so, a stored picture the way the matrix says.

    Args:
        picture_HWC: Stored picture, (H, W, 3).
        matrix: Display matrix.

    Returns:
        Picture as shown, (H, W, 3) or (W, H, 3), contiguous.
    """
    a, b, c, d = matrix
    x_sign, y_sign = a, d
    if swaps_sides(matrix):
        picture_HWC = picture_HWC.swapaxes(0, 1)
        x_sign, y_sign = c, b
    picture_HWC = picture_HWC[:, ::-1] if x_sign < 0 else picture_HWC
    picture_HWC = picture_HWC[::-1] if y_sign < 0 else picture_HWC
    return np.ascontiguousarray(picture_HWC)
