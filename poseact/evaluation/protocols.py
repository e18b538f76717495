"""The pose protocols: which people are measured, on which crops, against which normaliser.

Shape letters: P people, J joints.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poseact.datasets.flic import CROP_PX, read_flic
from poseact.datasets.folders import read_crop_folder, read_people_folder
from poseact.datasets.person import LabelledPerson, read_picture
from poseact.errors import ConfigError, InputError
from poseact.evaluation.pck import PoseErrors, coordinate_errors, observer_centric
from poseact.evaluation.reference import evaluate_video_folder
from poseact.geometry import FloatArray, invert, square_to_crop, transform_points, warp_crop
from poseact.models.runtime import PoseEstimator
from poseact.skeleton import NUM_JOINTS

BATCH = 16
MIN_TORSO_FRACTION = 0.08
"""People protocol: smallest torso over the picture's longer side."""

JITTER_SEED = 0
JITTER_SCALE = (0.9, 1.6)
JITTER_SHIFT = 0.15
"""Jittered crops: scale and shift of the box, uniform; METRICS protocol."""


def guess_protocol(folder: Path) -> str:
    """Return the protocol that the layout of a folder asks for.

    Raises:
        InputError: If the layout is none of the known ones.
    """
    marks = {
        "crop_map.csv": "supplied",
        "examples.mat": "official",
        "people.csv": "people",
        "joints.csv": "crops",
        "reference_joints": "video",
    }
    for mark, protocol in marks.items():
        if (folder / mark).exists():
            return protocol
    raise InputError(f"{folder}: has none of {', '.join(marks)}, so it is no data to measure on.")


def evaluate_protocol(
    estimator: PoseEstimator, folder: Path, protocol: str, split: str | None = None
) -> dict[str, Any]:
    """Measure a pose model.

    Args:
        estimator: The model.
        folder: The data.
        protocol: ``supplied``, ``official``, ``people``, ``video`` or ``crops``.
        split: Name of the split; None takes test (FLIC) or val (people).

    Returns:
        Figures by name, ready for JSON; lengths in pixels, PCK in percent.

    Raises:
        InputError: If the data cannot be read or is empty.
        ConfigError: If the protocol does not fit the folder.
    """
    if protocol == "video":
        return evaluate_video_folder(estimator, folder)
    people, train, description = _select(folder, protocol, split)
    report = _measure(estimator, people)
    if protocol == "supplied":
        report |= _in_supplied_crops(estimator, people, train)
    return {"protocol": description, "num_people": len(people), **report}


def predict_people(
    estimator: PoseEstimator,
    people: Sequence[LabelledPerson],
    squares: Sequence[tuple[float, float, float]] | None = None,
) -> FloatArray:
    """Find the joints of labelled people.

    Args:
        estimator: The model.
        people: Whom to look at.
        squares: Crop of each; None takes the person's own.

    Returns:
        (P, J, 3): x, y in the pixels of the person's picture, confidence.
    """
    squares = [person.square for person in people] if squares is None else squares
    found_PJ3 = np.empty((len(people), NUM_JOINTS, 3), np.float32)
    for start in range(0, len(people), BATCH):
        rows = range(start, min(start + BATCH, len(people)))
        maps = [square_to_crop(squares[i], estimator.input_px) for i in rows]
        crops = [
            warp_crop(read_picture(people[i]), matrix, estimator.input_px)
            for i, matrix in zip(rows, maps, strict=True)
        ]
        found_PJ3[rows] = estimator.predict(np.stack(crops))
        for i, matrix in zip(rows, maps, strict=True):
            found_PJ3[i, :, :2] = transform_points(found_PJ3[i, :, :2], invert(matrix))
    return found_PJ3


def _select(
    folder: Path, protocol: str, split: str | None
) -> tuple[list[LabelledPerson], list[LabelledPerson], str]:
    """Return the people to measure, those a mean pose is made of, and the protocol in words."""
    train: list[LabelledPerson] = []
    if protocol in ("supplied", "official"):
        everybody = read_flic(folder)
        name = "split" if protocol == "supplied" else "official_split"
        split = split or "test"
        people = [person for person in everybody if getattr(person, name) == split]
        train = [person for person in everybody if getattr(person, name) == "train"]
        description = f"FLIC {protocol} {split}, ground-truth crops, person-centric"
    elif protocol == "people":
        split = split or "val"
        people = read_people_folder(folder, split, min_torso_fraction=MIN_TORSO_FRACTION)
        description = f"people, {folder.name} {split}, crops from boxes, every labelled joint"
    elif protocol == "crops":
        if split is not None:
            raise ConfigError(f"{folder}: a folder of crops names no splits. Leave --split out.")
        people = [person for person in read_crop_folder(folder) if person.torso_px > 0]
        description = f"crops of {folder.name}, as they are"
    else:
        raise ConfigError(f"protocol: {protocol!r} is unknown.")
    if not people:
        raise InputError(f"{folder}: nobody is in split {split!r} of the {protocol} protocol.")
    return people, train, description


def _measure(estimator: PoseEstimator, people: Sequence[LabelledPerson]) -> dict[str, Any]:
    true_PJ2 = np.stack([person.joints_J3[:, :2] for person in people])
    torso_P = np.array([person.torso_px for person in people], np.float32)
    found_PJ2 = predict_people(estimator, people)[..., :2]
    report = PoseErrors.measure(found_PJ2, true_PJ2, torso_P).summary()
    observer = PoseErrors.measure(observer_centric(found_PJ2), observer_centric(true_PJ2), torso_P)
    jittered_PJ2 = predict_people(estimator, people, jitter_squares(people))[..., :2]
    jittered = PoseErrors.measure(jittered_PJ2, true_PJ2, torso_P)
    return {
        **report,
        "observer_centric_pck": {"0.2": observer.pck(0.2)},
        "jittered_crops_pck": {"0.2": jittered.pck(0.2)},
    }


def jitter_squares(people: Sequence[LabelledPerson]) -> list[tuple[float, float, float]]:
    """Return crops as loose and shifted as a detector's, the same on every call."""
    rng = np.random.default_rng(JITTER_SEED)
    squares = []
    for person in people:
        center_x, center_y, side = person.square
        shift_x, shift_y = side * rng.uniform(-JITTER_SHIFT, JITTER_SHIFT, 2)
        squares.append((center_x + shift_x, center_y + shift_y, side * rng.uniform(*JITTER_SCALE)))
    return squares


def _in_supplied_crops(
    estimator: PoseEstimator, people: Sequence[LabelledPerson], train: Sequence[LabelledPerson]
) -> dict[str, Any]:
    """Errors in the squashed 224-pixel crops, as the seed measures, and the mean-pose floor."""
    true_PJ2 = _squash(np.stack([person.joints_J3[:, :2] for person in people]), people)
    found_PJ2 = _squash(predict_people(estimator, people)[..., :2], people)
    train_PJ2 = _squash(np.stack([person.joints_J3[:, :2] for person in train]), train)
    mean_pose_PJ2 = np.broadcast_to(train_PJ2.mean(axis=0), true_PJ2.shape)
    return {
        **coordinate_errors(found_PJ2, true_PJ2),
        "mean_pose": coordinate_errors(mean_pose_PJ2, true_PJ2),
    }


def _squash(joints_PJ2: FloatArray, people: Sequence[LabelledPerson]) -> FloatArray:
    sizes = np.array([person.size_px for person in people], np.float32)
    return (joints_PJ2 * (CROP_PX / sizes)[:, None, :]).astype(np.float32)
