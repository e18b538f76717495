"""FLIC: 5,003 people from 30 films, in the two layouts it is found in.

Pre-processed: ``train/*.jpg``, ``test/*.jpg`` (224 x 224, squashed, red and blue exchanged),
``{train,test}_joints_coords.csv`` (name and 14 numbers per row, no header) and ``crop_map.csv``
(where in which film frame each crop was cut). Original: ``examples.mat`` and ``images/``.

Source: B. Sapp, B. Taskar. MODEC: Multimodal Decomposable Models for Human Pose Estimation. 2013.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat

from poseact.datasets.person import VISIBLE, LabelledPerson, joints_square
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.skeleton import NUM_JOINTS

CROP_PX = 224

_OFFICIAL_SPLIT = {"train": "train", "valid": "test"}
_COORDINATES = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]
_MAT_COLUMNS = {"lwri": 2, "lelb": 1, "lsho": 0, "rsho": 3, "relb": 4, "rwri": 5}
_MAT_HEAD = (12, 13, 16)  # both eyes and the nose
_MAT_LEFT_HIP = 6


def read_flic(folder: Path) -> list[LabelledPerson]:
    """Read FLIC in either layout.

    Args:
        folder: The folder that holds ``crop_map.csv`` or ``examples.mat``.

    Returns:
        People in file order; ``split`` is the supplied one (empty in the original layout),
        ``official_split`` that of the literature, ``group`` the film. Coordinates and
        ``torso_px`` are in film-frame pixels.

    Raises:
        InputError: If a file is missing or disagrees with another.
    """
    if (folder / "crop_map.csv").exists():
        return _read_preprocessed(folder)
    if (folder / "examples.mat").exists():
        return _read_original(folder)
    raise InputError(
        f"{folder}: holds neither crop_map.csv nor examples.mat. "
        "Name the folder of FLIC, pre-processed or as published."
    )


def _read_preprocessed(folder: Path) -> list[LabelledPerson]:
    crops = pd.read_csv(folder / "crop_map.csv")
    labels = pd.concat([_read_labels(folder, split) for split in ("train", "test")])
    table = crops.merge(labels, on=["crop_split", "crop_file"], how="left", validate="1:1")
    unlabelled = table[_COORDINATES].isna().any(axis=1)
    if unlabelled.any():
        raise InputError(
            f"{folder}: {int(unlabelled.sum())} crops of crop_map.csv have no row in the "
            f"joints files, the first is {table.crop_file[unlabelled].iloc[0]}."
        )
    return [_from_crop(folder, row) for row in table.to_dict("records")]


def _read_labels(folder: Path, split: str) -> pd.DataFrame:
    path = folder / f"{split}_joints_coords.csv"
    try:
        labels = pd.read_csv(path, header=None, names=["crop_file", *_COORDINATES])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as name and 14 numbers: {error}") from error
    return labels.assign(crop_split=split)


def _from_crop(folder: Path, row: dict[Any, Any]) -> LabelledPerson:
    width, height = row["box_x1"] - row["box_x0"], row["box_y1"] - row["box_y0"]
    size_px = (round(width), round(height))
    xy = np.array([row[name] for name in _COORDINATES], np.float32).reshape(-1, 2)
    joints_J3 = _visible((xy * np.array(size_px) / CROP_PX).astype(np.float32))
    return LabelledPerson(
        path=folder / row["crop_split"] / row["crop_file"],
        size_px=size_px,
        joints_J3=joints_J3,
        square=(size_px[0] / 2, size_px[1] / 2, float(max(size_px))),
        torso_px=float(row["torso_px"]),
        group=row["movie"],
        split=row["crop_split"],
        official_split=_OFFICIAL_SPLIT[row["flic_split"]],
        swapped_colors=True,
    )


def _read_original(folder: Path) -> list[LabelledPerson]:
    try:
        examples = loadmat(folder / "examples.mat", squeeze_me=True)["examples"]
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"{folder / 'examples.mat'}: not FLIC's list of examples.") from error
    return [_from_example(folder, example) for example in np.atleast_1d(examples)]


def _from_example(folder: Path, example: np.void) -> LabelledPerson:
    coords = np.asarray(example["coords"], np.float32).T
    parts = {name: coords[column] for name, column in _MAT_COLUMNS.items()}
    parts["head"] = coords[list(_MAT_HEAD)].mean(axis=0)
    order = ("lwri", "lelb", "lsho", "head", "rsho", "relb", "rwri")
    joints_J3 = _visible(np.stack([parts[name] for name in order]))
    height, width = (int(value) for value in example["imgdims"][:2])
    return LabelledPerson(
        path=folder / "images" / str(example["filepath"]),
        size_px=(width, height),
        joints_J3=joints_J3,
        square=joints_square(joints_J3),
        torso_px=float(np.linalg.norm(parts["rsho"] - coords[_MAT_LEFT_HIP])),
        group=str(example["moviename"]),
        official_split="train" if example["istrain"] else "test",
    )


def _visible(xy_J2: FloatArray) -> FloatArray:
    weights = np.full((NUM_JOINTS, 1), VISIBLE, np.float32)
    return np.concatenate([xy_J2, weights], axis=1, dtype=np.float32)
