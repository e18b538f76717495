"""From people in pictures to their joints: a crop of each, and a second one where it was loose.

Shape letters: K people, B crops of one call, J joints, S side of a crop.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from poseact.geometry import (
    FloatArray,
    ImageArray,
    invert,
    square_to_crop,
    transform_points,
    warp_crop,
)
from poseact.skeleton import NUM_JOINTS

Square: TypeAlias = tuple[float, float, float]
"""Centre x, centre y and side of a crop, pixels of the picture."""

CROPS_PER_CALL = 8
"""Crops in each call of the model. Always this many, the last call padded: the last bits of a
result may depend on the size of its batch, and must not depend on who else was looked at."""

SEEN = 0.3
"""Confidence from which a joint says where the second crop goes."""

LEAST_SEEN = 4
"""Joints that must be seen for a second look."""

LOOSE = 0.55
"""Extent of the joints, over the side of the crop, below which the crop is loose."""

SECOND_MARGIN = 1.8
"""Side of the second crop over the extent of the joints; of 1.6, 1.8 and 2.1 the best on all of
`video`, `people` and LSPet together."""


class CropModel(Protocol):
    """Finds the joints of the person in each crop."""

    @property
    def input_px(self) -> int:
        """Side of its crops."""

    def predict(self, crops_BHWC: ImageArray) -> FloatArray:
        """Return joints, (B, J, 3): x, y in crop pixels, confidence in [0, 1]."""


def look_twice(
    model: CropModel, pictures: Sequence[ImageArray], squares: Sequence[Square]
) -> FloatArray:
    """Find the joints of people, looking twice where the first crop was loose.

    Args:
        model: The model.
        pictures: The picture of each person, (H, W, 3), uint8 RGB.
        squares: The crop of each person.

    Returns:
        (K, J, 3): x, y in the pixels of the picture, confidence. Of two looks the surer one.
    """
    joints_KJ3 = look(model, pictures, squares)
    again = {
        row: second
        for row in range(len(squares))
        if (second := closer(joints_KJ3[row], squares[row]))
    }
    rows = list(again)
    second_KJ3 = look(model, [pictures[row] for row in rows], list(again.values()))
    is_surer = second_KJ3[..., 2].mean(axis=1) > joints_KJ3[rows, :, 2].mean(axis=1)
    joints_KJ3[np.array(rows, int)[is_surer]] = second_KJ3[is_surer]
    return joints_KJ3


def look(model: CropModel, pictures: Sequence[ImageArray], squares: Sequence[Square]) -> FloatArray:
    """Find the joints of people in the crops that are given; as ``look_twice``."""
    parts = [np.empty((0, NUM_JOINTS, 3), np.float32)]
    for rows in _batched(len(squares)):
        maps = [square_to_crop(squares[row], model.input_px) for row in rows]
        crops = np.zeros((CROPS_PER_CALL, model.input_px, model.input_px, 3), np.uint8)
        for i, row in enumerate(rows):
            crops[i] = warp_crop(pictures[row], maps[i], model.input_px)
        joints_BJ3 = model.predict(crops)[: len(rows)]
        for joints_J3, to_crop in zip(joints_BJ3, maps, strict=True):
            joints_J3[:, :2] = transform_points(joints_J3[:, :2], invert(to_crop))
        parts.append(joints_BJ3)
    return np.concatenate(parts)


def closer(joints_J3: FloatArray, square: Square) -> Square | None:
    """Return the square for a second look, None if the first was close enough or saw too little."""
    seen = joints_J3[joints_J3[:, 2] >= SEEN, :2]
    if len(seen) < LEAST_SEEN:
        return None
    low, high = seen.min(axis=0), seen.max(axis=0)
    extent = float((high - low).max())
    if not 0 < extent < LOOSE * square[2]:
        return None
    center_x, center_y = ((low + high) / 2).tolist()
    return center_x, center_y, SECOND_MARGIN * extent


def _batched(count: int) -> Iterator[range]:
    for start in range(0, count, CROPS_PER_CALL):
        yield range(start, min(start + CROPS_PER_CALL, count))
