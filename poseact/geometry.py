"""Boxes, square crops, and the affine maps between a crop and its frame.

A box is ``x0, y0, x1, y1`` in frame pixels. A crop is a square picture that shows the upper body
inside a box; what lies outside the frame is grey. Maps are 2x3 matrices for column vectors
``(x, y, 1)`` in continuous coordinates: the centre of the first pixel is (0.5, 0.5).
"""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageArray: TypeAlias = npt.NDArray[np.uint8]

UPPER_BODY_ASPECT = 1.6
"""Height of the part of a person's box that is kept, in box widths: a standing adult is about three
widths tall and the wrists hang at half of that."""

CROP_MARGIN = 1.15
"""Crop side over the side of the kept part, so that a slightly tight box cuts nothing off."""

OUTSIDE_GREY = 114
"""Value of the pixels of a crop that lie outside the frame."""


def upper_body_square(box_xyxy: Sequence[float]) -> tuple[float, float, float]:
    """Place the square crop for the upper body of the person inside a box.

    Args:
        box_xyxy: Box of the person, whole body or cut off by the frame, in frame pixels.

    Returns:
        Centre x, centre y and side of the square, frame pixels; it may leave the frame.

    Raises:
        ValueError: If the box has no area.
    """
    x0, y0, x1, y1 = box_xyxy
    width, height = x1 - x0, y1 - y0
    if not (width > 0 and height > 0):
        raise ValueError(f"box must have an area, got {tuple(box_xyxy)}")
    kept_height = min(height, UPPER_BODY_ASPECT * width)
    side = CROP_MARGIN * max(width, kept_height)
    return (x0 + x1) / 2, y0 + kept_height / 2, side


def box_iou(boxes_N4: FloatArray, boxes_M4: FloatArray) -> FloatArray:
    """Return intersection over union of every two boxes, (N, M); 0 where neither has an area."""
    low_NM2 = np.maximum(boxes_N4[:, None, :2], boxes_M4[:, :2])
    high_NM2 = np.minimum(boxes_N4[:, None, 2:], boxes_M4[:, 2:])
    shared_NM = (high_NM2 - low_NM2).clip(min=0).prod(axis=2)
    area_N, area_M = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes_N4, boxes_M4))
    union_NM = area_N[:, None] + area_M - shared_NM
    iou_NM: FloatArray = np.divide(
        shared_NM, union_NM, out=np.zeros_like(shared_NM), where=union_NM > 0
    )
    return iou_NM


def square_to_crop(square: tuple[float, float, float], size_px: int) -> FloatArray:
    """Return the 2x3 map from frame pixels to the pixels of a ``size_px`` crop of a square."""
    center_x, center_y, side = square
    scale = size_px / side
    half = size_px / 2
    return np.array(
        [[scale, 0, half - scale * center_x], [0, scale, half - scale * center_y]], np.float32
    )


def invert(matrix_23: FloatArray) -> FloatArray:
    """Return the 2x3 map that undoes ``matrix_23``."""
    return cv2.invertAffineTransform(matrix_23).astype(np.float32)


def transform_points(points: FloatArray, matrix_23: FloatArray) -> FloatArray:
    """Apply a map to points.

    Args:
        points: Coordinates, (..., 2), float; NaN stays NaN.
        matrix_23: 2x3 map.

    Returns:
        Mapped coordinates, (..., 2), float32.
    """
    mapped: FloatArray = (points @ matrix_23[:, :2].T + matrix_23[:, 2]).astype(np.float32)
    return mapped


def warp_crop(frame_HWC: ImageArray, matrix_23: FloatArray, size_px: int) -> ImageArray:
    """Cut a square crop out of a frame.

    Args:
        frame_HWC: Picture, (H, W, 3), uint8.
        matrix_23: 2x3 map from frame to crop pixels.
        size_px: Side of the crop.

    Returns:
        Crop, (size_px, size_px, 3), uint8, in the channel order of the frame. Shrinking averages
        over source pixels, so that small crops of large people do not alias.
    """
    scale = float(np.linalg.norm(matrix_23[:, 0]))
    if scale < 0.5:  # noqa: PLR2004 - below half, bilinear sampling skips pixels
        shrink = 1.0 / max(1, int(1 / scale))
        frame_HWC = np.asarray(
            cv2.resize(frame_HWC, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA),
            dtype=np.uint8,
        )
        matrix_23 = matrix_23.copy()
        matrix_23[:, :2] /= shrink
    # cv2 puts integer coordinates at pixel centres
    centred = matrix_23.astype(np.float64)
    centred[:, 2] += centred[:, :2].sum(axis=1) * 0.5 - 0.5
    warped = cv2.warpAffine(
        frame_HWC,
        centred,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(OUTSIDE_GREY,) * 3,
    )
    return np.asarray(warped, np.uint8)


def suppress_doubles(
    boxes_N4: FloatArray, scores_N: FloatArray, max_iou: float
) -> npt.NDArray[np.intp]:
    """Choose boxes of which no two overlap too much (greedy non-maximum suppression).

    Not torchvision's, which gives the same and takes seconds to import.

    Args:
        boxes_N4: x0, y0, x1, y1.
        scores_N: The higher of two that overlap is kept; positive.
        max_iou: Intersection over union up to which both are kept.

    Returns:
        Rows of the boxes kept, best first.
    """
    if not len(boxes_N4):
        return np.empty(0, np.intp)
    corners_N2 = boxes_N4[:, :2].astype(np.float64)
    xywh_N4 = np.hstack([corners_N2, boxes_N4[:, 2:] - corners_N2])
    kept = cv2.dnn.NMSBoxes(xywh_N4.tolist(), scores_N.tolist(), 0.0, max_iou)
    return np.asarray(kept, np.intp).reshape(-1)
