"""Readers of two plain folder layouts: crops with a joints.csv, and pictures full of people."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from poseact.datasets.person import HIDDEN, VISIBLE, LabelledPerson
from poseact.errors import InputError
from poseact.geometry import FloatArray, upper_body_square
from poseact.skeleton import NUM_JOINTS

_COORDINATES = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]
_COCO_JOINTS = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xyv"]
_COCO_WEIGHTS = np.array([0.0, HIDDEN, VISIBLE], np.float32)


def read_crop_folder(folder: Path) -> list[LabelledPerson]:
    """Read a folder of crops with one person each.

    Args:
        folder: Holds ``joints.csv`` (``file, j1x..j7y``, optional ``torso_px``) and the crops,
            beside it or in ``images/``.

    Returns:
        People in file order; every crop is its own group.

    Raises:
        InputError: If the table or a picture is missing or unreadable.
    """
    table = read_table(folder / "joints.csv", ["file", *_COORDINATES])
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    return [_from_crop(pictures / row["file"], row) for row in table.to_dict("records")]


def read_people_folder(
    folder: Path, split: str, *, min_torso_fraction: float = 0.0
) -> list[LabelledPerson]:
    """Read a folder of pictures with boxes and joints of everybody, in the ``coco_people`` layout.

    Args:
        folder: Holds ``images/``, ``pictures.csv`` and ``people.csv``.
        split: Name in the ``split`` column of ``pictures.csv``.
        min_torso_fraction: Smallest ``torso_px`` over the picture's longer side; people whose
            torso is smaller or unknown are left out.

    Returns:
        People with at least one labelled joint, crowd regions left out; the group is the picture.

    Raises:
        InputError: If a table is missing, or nobody is in the split.
    """
    pictures = read_table(folder / "pictures.csv", ["file", "split", "width", "height"])
    people = read_table(folder / "people.csv", ["file", "crowd", "torso_px", *_COCO_JOINTS])
    table = people[people.crowd == 0].merge(pictures[pictures.split == split], on="file")
    longer_side = table[["width", "height"]].max(axis=1)
    is_labelled = table[[f"j{joint}v" for joint in range(1, NUM_JOINTS + 1)]].sum(axis=1) > 0
    is_large = table.torso_px.fillna(0) >= min_torso_fraction * longer_side
    table = table[is_labelled & is_large]
    if table.empty:
        known = ", ".join(sorted(pictures.split.unique()))
        raise InputError(f"{folder}: nobody in split {split!r}; pictures.csv has: {known}.")
    return [_from_people_row(folder / "images", row) for row in table.to_dict("records")]


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV file; InputError if that is not possible or one of the columns is missing."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}; it needs {', '.join(columns)}.")
    return table


def _from_crop(path: Path, row: dict[Any, Any]) -> LabelledPerson:
    picture = cv2.imread(str(path))
    if picture is None:
        raise InputError(f"{path}: named in joints.csv, but missing or not a picture.")
    xy = np.array([row[name] for name in _COORDINATES], np.float32).reshape(-1, 2)
    weights = np.where(np.isnan(xy).any(axis=1, keepdims=True), 0.0, VISIBLE)
    torso_px = float(row.get("torso_px", np.nan))
    height, width = picture.shape[:2]
    return LabelledPerson(
        path=path,
        size_px=(width, height),
        joints_J3=np.concatenate([xy, weights], axis=1, dtype=np.float32),
        square=(width / 2, height / 2, float(max(width, height))),
        torso_px=torso_px if torso_px > 0 else np.nan,
        group=path.name,
    )


def _from_people_row(pictures: Path, row: dict[Any, Any]) -> LabelledPerson:
    return LabelledPerson(
        path=pictures / row["file"],
        size_px=(int(row["width"]), int(row["height"])),
        joints_J3=_people_joints(row),
        square=upper_body_square((row["x0"], row["y0"], row["x1"], row["y1"])),
        torso_px=float(row["torso_px"]),
        group=row["file"],
        split=row["split"],
    )


def _people_joints(row: dict[Any, Any]) -> FloatArray:
    joints_J3 = np.array([row[name] for name in _COCO_JOINTS], np.float32).reshape(-1, 3)
    weights = _COCO_WEIGHTS[joints_J3[:, 2].astype(int)]
    xy = np.where(weights[:, None] > 0, joints_J3[:, :2], np.nan)
    return np.concatenate([xy, weights[:, None]], axis=1, dtype=np.float32)
