"""Pictures of any number of people, each with a box: what a person detector learns from.

Shape letters: N people, M regions.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from poseact.datasets.folders import read_table
from poseact.datasets.person import read_rgb
from poseact.errors import InputError
from poseact.geometry import FloatArray, ImageArray

BOX = ["x0", "y0", "x1", "y1"]
"""Columns of a box in ``people.csv``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledScene:
    """A picture and everybody in it. Boxes are x0, y0, x1, y1 in pixels, within the picture."""

    path: Path
    """File of the picture."""

    size_px: tuple[int, int]
    """Width and height."""

    boxes_N4: FloatArray
    """People."""

    ignored_M4: FloatArray
    """Regions in which people are not labelled one by one: crowds, and whom nobody is sure of."""

    group: str
    """Picture or recording; scenes of one group never go to both sides of a split."""

    split: str = ""
    """Split that the data set itself names."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nobody in it for sure."""
        return not (len(self.boxes_N4) or len(self.ignored_M4))


def read_scenes(folder: Path, split: str) -> list[LabelledScene]:
    """Read the pictures of one split in the ``coco_people`` layout, those without people too.

    Args:
        folder: Holds ``images/``, ``pictures.csv`` and ``people.csv``.
        split: Name in the ``split`` column of ``pictures.csv``.

    Returns:
        A scene for each picture, in the order of ``pictures.csv``. The group is the column
        ``recording`` where there is one, else the picture.

    Raises:
        InputError: If a table is missing or wrong, or the split is empty.
    """
    pictures = read_table(folder / "pictures.csv", ["file", "split", "width", "height"])
    people = read_table(folder / "people.csv", ["file", *BOX, "crowd"])
    _check_boxes(people, pictures, folder / "people.csv")
    known = ", ".join(sorted(pictures.split.unique()))
    pictures = pictures[pictures.split == split]
    if pictures.empty:
        raise InputError(f"{folder}: no picture in split {split!r}; pictures.csv has: {known}.")
    people_of = dict(iter(people.groupby("file")))
    return [
        _scene(folder / "images", row, people_of.get(row["file"], people[:0]))
        for row in pictures.to_dict("records")
    ]


def scene_picture(scene: LabelledScene) -> ImageArray:
    """Read the picture of a scene.

    Returns:
        Picture, (H, W, 3), uint8 RGB, of the scene's ``size_px``.

    Raises:
        InputError: If the file is missing, not a picture, or of another size.
    """
    rgb_HWC = read_rgb(scene.path)
    height, width = rgb_HWC.shape[:2]
    if (width, height) != scene.size_px:
        raise InputError(
            f"{scene.path}: is {width}x{height}, but pictures.csv has "
            f"{scene.size_px[0]}x{scene.size_px[1]}."
        )
    return rgb_HWC


def data_hash(scenes: Sequence[LabelledScene]) -> str:
    """Return the hash of the names and labels of scenes, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for scene in scenes:
        digest.update(scene.path.name.encode())
        digest.update(scene.boxes_N4.tobytes())
        digest.update(b"ignored")
        digest.update(scene.ignored_M4.tobytes())
    return digest.hexdigest()[:12]


def _check_boxes(people: pd.DataFrame, pictures: pd.DataFrame, path: Path) -> None:
    stray = people[~people.file.isin(pictures.file)]
    if not stray.empty:
        raise InputError(f"{path}: names {stray.file.iloc[0]}, which pictures.csv does not.")
    box = people.merge(pictures, on="file", how="left")
    # NaN compares as false, so this also refuses a box with a missing side
    has_area = (box.x1.clip(upper=box.width) > box.x0.clip(lower=0)) & (
        box.y1.clip(upper=box.height) > box.y0.clip(lower=0)
    )
    if not has_area.all():
        row = int((~has_area).argmax())
        raise InputError(
            f"{path}: line {row + 2}: the box {box[BOX].iloc[row].tolist()} covers nothing of "
            f"{box.file.iloc[row]}."
        )


def _scene(pictures: Path, row: dict[Any, Any], people: pd.DataFrame) -> LabelledScene:
    size_px = int(row["width"]), int(row["height"])
    boxes_N4 = people[BOX].to_numpy(np.float32).clip(0, np.array([*size_px, *size_px], np.float32))
    is_crowd_N = people.crowd.to_numpy(bool)
    return LabelledScene(
        path=pictures / row["file"],
        size_px=size_px,
        boxes_N4=boxes_N4[~is_crowd_N],
        ignored_M4=boxes_N4[is_crowd_N],
        group=str(row.get("recording", row["file"])),
        split=str(row["split"]),
    )
