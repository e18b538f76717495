"""Contact sheets: one segment at a glance, as a strip of frames with skeletons."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from poseact.errors import InputError
from poseact.geometry import FloatArray, ImageArray
from poseact.review.draw import draw_pose, hide_head
from poseact.skeleton import NUM_JOINTS
from poseact.video.chunks import plan_chunks
from poseact.video.decode import decode_chunk
from poseact.video.probe import probe

_CHUNK_BYTES: Final = 64 * 1024**2
_GAP_PX: Final = 4
_BACKGROUND: Final = 255


def contact_sheet(  # noqa: PLR0913 - how the sheet looks, named at every call
    segment: Mapping[str, Any] | pd.Series,
    timeline: pd.DataFrame,
    uri: str,
    *,
    num_frames: int = 8,
    columns: int = 4,
    tile_width_px: int = 320,
    hide_heads: bool = True,
) -> ImageArray:
    """Show frames across a segment, the person's skeleton drawn and every known head hidden.

    Args:
        segment: Row of the ``segments`` table.
        timeline: Rows of the ``timeline`` table, at least those of the segment's video.
        uri: Recording, from the ``videos`` table.
        num_frames: Frames to show, evenly spread; fewer if the segment is shorter.
        columns: Frames side by side.
        tile_width_px: Width of a frame on the sheet.
        hide_heads: Put a mosaic over the head of everybody in the timeline. Somebody whom the
            analysis did not find keeps the face that the recording shows.

    Returns:
        Sheet, (H, W, 3), uint8 RGB.

    Raises:
        InputError: If the recording no longer holds the segment's frames.
        VideoError: If the recording cannot be read.
    """
    chosen = _spread(int(segment["start_frame"]), int(segment["end_frame"]), num_frames)
    rows = timeline[
        (timeline["video_id"] == segment["video_id"])
        & timeline["frame_index"].isin(chosen)
        & timeline["track_id"].notna()
    ]
    frames = read_frames(uri, chosen)
    tiles = [
        _tile(frames[index], rows[rows["frame_index"] == index], segment, hide_heads)
        for index in chosen
        if index in frames
    ]
    if not tiles:
        raise InputError(
            f"{uri}: holds none of the frames {chosen[0]} to {chosen[-1]}. "
            "Was the recording replaced? Analyze it again."
        )
    return _sheet([_resized(tile, tile_width_px) for tile in tiles], columns)


def read_frames(uri: str, frame_indices: Iterable[int]) -> dict[int, ImageArray]:
    """Read single frames of a recording.

    Args:
        uri: Recording.
        frame_indices: Ranks of the frames, as in the ``timeline`` table.

    Returns:
        Picture (H, W, 3), uint8 RGB, of each frame that the recording holds.

    Raises:
        VideoError: If the recording cannot be read.
    """
    wanted = set(frame_indices)
    found: dict[int, ImageArray] = {}
    for chunk in plan_chunks(probe(uri), max_bytes=_CHUNK_BYTES):
        first = chunk.first_frame_index
        here = {index for index in wanted if first <= index < first + chunk.num_frames}
        if not here:
            continue
        for frame in decode_chunk(chunk):
            if frame.frame_index in here:
                found[frame.frame_index] = frame.rgb_HWC
            if frame.frame_index >= max(here):
                break
    return found


def joints_of(row: Mapping[str, Any] | pd.Series) -> FloatArray:
    """Return the joints of a ``timeline`` row, (7, 3): x, y in source pixels, confidence."""
    return np.asarray(row["joints"], np.float32).reshape(NUM_JOINTS, 3)


def _spread(start: int, end: int, count: int) -> list[int]:
    """Return up to ``count`` frames of [start, end), each from the middle of an equal share."""
    edges = np.linspace(start, end, min(count, end - start) + 1)
    return [int(frame) for frame in np.floor((edges[:-1] + edges[1:]) / 2)]


def _tile(
    rgb_HWC: ImageArray,
    rows: pd.DataFrame,
    segment: Mapping[str, Any] | pd.Series,
    hide_heads: bool,
) -> ImageArray:
    picture = rgb_HWC
    if hide_heads:
        for _, row in rows.iterrows():
            picture = hide_head(picture, joints_of(row))
    mine = rows[rows["track_id"] == segment["track_id"]]
    if mine.empty:
        return picture
    row = mine.iloc[0]
    label = f"{row['pts_s']:.2f} s  {row['action']} {row['score']:.2f}"
    return draw_pose(picture, joints_of(row), label, confidences=False)


def _resized(rgb_HWC: ImageArray, width_px: int) -> ImageArray:
    height, width = rgb_HWC.shape[:2]
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(rgb_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)


def _sheet(tiles: list[ImageArray], columns: int) -> ImageArray:
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    num_rows = -(-len(tiles) // columns)
    step_y, step_x = height + _GAP_PX, width + _GAP_PX
    sheet = np.full((num_rows * step_y - _GAP_PX, columns * step_x - _GAP_PX, 3), _BACKGROUND)
    sheet = sheet.astype(np.uint8)
    for index, tile in enumerate(tiles):
        y, x = divmod(index, columns)
        sheet[y * step_y : y * step_y + height, x * step_x : x * step_x + width] = tile
    return sheet
