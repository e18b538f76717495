"""The people whom a model misses most, on one picture, worst first."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from poseact.errors import OutputError
from poseact.evaluation.samples import PoseSamples
from poseact.geometry import FloatArray, ImageArray, square_to_crop, transform_points, warp_crop
from poseact.review.draw import color_of, draw_pose, png_bytes

COLUMNS: Final = 5
TILE_PX: Final = 256

LEGEND: Final = (
    "filled: found",
    "rings: true",
    "orange: the person's left",
    "blue: right",
)
_LINE_PX: Final = 18
_CAPTION_LINES: Final = 3
_MARGIN_PX: Final = 6
_RING_PX: Final = 7
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE: Final = 0.45
_BLACK: Final = (0, 0, 0)
_WHITE: Final = 255


def write_worst(path: Path, samples: PoseSamples, count: int) -> None:
    """Write the contact sheet as PNG; OutputError if that is not possible."""
    sheet = png_bytes(worst_sheet(samples, count))
    try:
        path.write_bytes(sheet)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error


def worst_sheet(samples: PoseSamples, count: int) -> ImageArray:
    """Show the people with the largest mean distance over the torso.

    Args:
        samples: What the model said; only the pictures that are shown are read again.
        count: People to show; everybody if there are fewer.

    Returns:
        Sheet, (H, W, 3), uint8 RGB, worst first, row by row. A tile is the square that the model
        saw, found joints filled and joined by limbs, true ones hollow.
    """
    error_P = samples.errors().per_person()
    rows = np.argsort(-error_P, kind="stable")[:count].tolist()
    pictures = {row: _crop(samples, row, rgb) for row, rgb in samples.subjects.read(rows)}
    tiles = [
        np.concatenate([pictures[row], _caption(samples, row, rank, float(error_P[row]))])
        for rank, row in enumerate(rows, start=1)
    ]
    sheet = _arranged(tiles)
    return np.concatenate([_lines(_legend(len(tiles)), sheet.shape[1]), sheet])


def _crop(samples: PoseSamples, row: int, rgb_HWC: ImageArray) -> ImageArray:
    matrix = square_to_crop(samples.subjects.squares[row], TILE_PX)
    crop = warp_crop(rgb_HWC, matrix, TILE_PX)
    found_J2 = transform_points(samples.found_PJ3[row, :, :2], matrix)
    sure_J1 = np.ones((len(found_J2), 1), np.float32)  # or they would be drawn hollow, like labels
    drawn = draw_pose(crop, np.concatenate([found_J2, sure_J1], axis=1), confidences=False)
    _draw_rings(drawn, transform_points(samples.subjects.true_PJ2[row], matrix))
    return drawn


def _draw_rings(picture: ImageArray, xy_J2: FloatArray) -> None:
    for joint, (x, y) in enumerate(xy_J2):
        if np.isfinite(x + y):
            center = (int(x), int(y))
            cv2.circle(picture, center, _RING_PX, _BLACK, 4, cv2.LINE_AA)
            cv2.circle(picture, center, _RING_PX, color_of(joint), 2, cv2.LINE_AA)


def _caption(samples: PoseSamples, row: int, rank: int, error: float) -> ImageArray:
    group, name = samples.subjects.groups[row], samples.subjects.names[row]
    lines = [f"#{rank}  error {error:.2f} torso", group, "" if name == group else name]
    return _lines(lines, TILE_PX)


def _legend(num_tiles: int) -> list[str]:
    """Return the legend in as few lines as a sheet of so many tiles has room for."""
    per_line = min(COLUMNS, num_tiles)
    return ["   ".join(LEGEND[i : i + per_line]) for i in range(0, len(LEGEND), per_line)]


def _lines(lines: list[str], width_px: int) -> ImageArray:
    """Write lines in black on a white strip."""
    strip = np.full((len(lines) * _LINE_PX + _MARGIN_PX, width_px, 3), _WHITE, np.uint8)
    for line, text in enumerate(lines, start=1):
        _write(strip, text, line * _LINE_PX - _MARGIN_PX // 2)
    return strip


def _write(strip: ImageArray, text: str, baseline_px: int) -> None:
    """Write one line, smaller where it would not fit."""
    width = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
    room = strip.shape[1] - 2 * _MARGIN_PX
    scale = _FONT_SCALE * min(1.0, room / max(width, 1))
    place = (_MARGIN_PX, baseline_px)
    cv2.putText(strip, text, place, _FONT, scale, _BLACK, 1, cv2.LINE_AA)


def _arranged(tiles: list[ImageArray]) -> ImageArray:
    columns = min(COLUMNS, len(tiles))
    num_rows = -(-len(tiles) // columns)
    gap = ((0, 0), (0, _MARGIN_PX), (0, 0))
    tiles = [np.pad(tile, gap, constant_values=_WHITE) for tile in tiles]
    blank = np.full_like(tiles[0], _WHITE)
    grid = np.stack([*tiles, *[blank] * (num_rows * columns - len(tiles))])
    height, width = blank.shape[:2]
    grid = grid.reshape(num_rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(num_rows * height, columns * width, 3)
