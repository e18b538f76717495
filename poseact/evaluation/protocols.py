"""The pose protocols: which people are measured, on which crops, against which normaliser.

Shape letters: P people, J joints.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poseact.datasets.flic import read_flic
from poseact.datasets.folders import read_crop_folder, read_people_folder
from poseact.datasets.person import LabelledPerson, read_picture
from poseact.errors import ConfigError, InputError
from poseact.evaluation.pck import PoseErrors
from poseact.evaluation.reference import read_video_samples
from poseact.evaluation.samples import CROP_PX, HIT, PoseSamples, each_transformed
from poseact.geometry import FloatArray, invert, square_to_crop, transform_points, warp_crop
from poseact.models.runtime import PoseEstimator
from poseact.skeleton import NUM_JOINTS

BATCH = 16
MIN_TORSO_FRACTION = 0.08
"""People protocol: smallest torso over the picture's longer side."""

JITTER_SEED = 0
JITTER_SCALE = (0.9, 1.6)
JITTER_SHIFT = 0.15
"""Jittered crops: scale and shift of the crop, uniform, in its sides."""

MARKS = {
    "crop_map.csv": "supplied",
    "examples.mat": "official",
    "people.csv": "people",
    "joints.csv": "crops",
    "reference_joints": "video",
}
"""What in a folder asks for which protocol."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Whom a protocol measures."""

    people: list[LabelledPerson]
    """The people to measure."""

    others: list[LabelledPerson]
    """The people whose mean pose is the floor: those to train on, where there are any."""

    description: str
    """The protocol in words."""


def guess_protocol(folder: Path) -> str:
    """Return the protocol that the layout of a folder asks for.

    Raises:
        InputError: If the layout is none of the known ones.
    """
    for mark, protocol in MARKS.items():
        if (folder / mark).exists():
            return protocol
    raise InputError(f"{folder}: has none of {', '.join(MARKS)}: its layout is unknown.")


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
        Figures by name, ready for JSON: errors in the pixels of 224-pixel crops, PCK in percent.

    Raises:
        InputError: If the data cannot be read or is empty.
        ConfigError: If protocol or split do not fit the folder.
    """
    if protocol == "video":
        if split is not None:
            raise ConfigError(f"{folder}: the video protocol has no splits. Leave --split out.")
        samples = read_video_samples(estimator, folder)
        count = len(set(samples.groups))
        description = f"video, {count} recordings of {folder.name}, crops from boxes"
        return {"protocol": description, **samples.report()}
    selection = _select(folder, protocol, split)
    return {
        "protocol": selection.description,
        **_samples(estimator, selection).report(),
        "jittered_crops_pck": {str(HIT): _jittered(estimator, selection.people).pck(HIT)},
    }


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


def jitter_squares(people: Sequence[LabelledPerson]) -> list[tuple[float, float, float]]:
    """Return crops as loose and shifted as a detector's, the same on every call."""
    rng = np.random.default_rng(JITTER_SEED)
    squares = []
    for person in people:
        center_x, center_y, side = person.square
        shift_x, shift_y = side * rng.uniform(-JITTER_SHIFT, JITTER_SHIFT, 2)
        squares.append((center_x + shift_x, center_y + shift_y, side * rng.uniform(*JITTER_SCALE)))
    return squares


def _select(folder: Path, protocol: str, split: str | None) -> Selection:
    if protocol in ("supplied", "official"):
        selection = _select_flic(folder, protocol, split or "test")
    elif protocol == "people":
        split = split or "val"
        selection = Selection(
            people=read_people_folder(folder, split, min_torso_fraction=MIN_TORSO_FRACTION),
            others=[],
            description=f"people, {folder.name} {split}, crops from boxes, every labelled joint",
        )
    elif protocol == "crops":
        if split is not None:
            raise ConfigError(f"{folder}: a folder of crops names no splits. Leave --split out.")
        selection = Selection(
            people=[person for person in read_crop_folder(folder) if person.torso_px > 0],
            others=[],
            description=f"crops of {folder.name}, as they are",
        )
    else:
        raise ConfigError(f"protocol: {protocol!r} is unknown.")
    if not selection.people:
        raise InputError(f"{folder}: nobody is in split {split!r} of the {protocol} protocol.")
    return selection


def _select_flic(folder: Path, protocol: str, split: str) -> Selection:
    everybody = read_flic(folder)
    name = "split" if protocol == "supplied" else "official_split"
    return Selection(
        people=[person for person in everybody if getattr(person, name) == split],
        others=[person for person in everybody if getattr(person, name) == "train"],
        description=f"FLIC {protocol} {split}, ground-truth crops, person-centric",
    )


def _samples(estimator: PoseEstimator, selection: Selection) -> PoseSamples:
    return PoseSamples(
        found_PJ3=predict_people(estimator, selection.people),
        true_PJ2=_labels(selection.people),
        torso_P=_torsos(selection.people),
        to_crop_P23=_to_crops(selection.people),
        mean_pose_J2=_mean_pose(selection.others or selection.people),
        groups=[person.group if person.official_split else "" for person in selection.people],
    )


def _jittered(estimator: PoseEstimator, people: Sequence[LabelledPerson]) -> PoseErrors:
    found_PJ3 = predict_people(estimator, people, jitter_squares(people))
    return PoseErrors.measure(found_PJ3[..., :2], _labels(people), _torsos(people))


def _labels(people: Sequence[LabelledPerson]) -> FloatArray:
    return np.stack([person.joints_J3[:, :2] for person in people])


def _torsos(people: Sequence[LabelledPerson]) -> FloatArray:
    return np.array([person.torso_px for person in people], np.float32)


def _to_crops(people: Sequence[LabelledPerson]) -> FloatArray:
    """Return the maps to 224-pixel crops; those of FLIC are squashed, as the seed measured."""
    return np.stack(
        [
            np.diag([CROP_PX / person.size_px[0], CROP_PX / person.size_px[1], 1])[:2]
            if person.swapped_colors
            else square_to_crop(person.square, CROP_PX)
            for person in people
        ]
    ).astype(np.float32)


def _mean_pose(people: Sequence[LabelledPerson]) -> FloatArray:
    mean_J2: FloatArray = np.nanmean(each_transformed(_labels(people), _to_crops(people)), axis=0)
    return mean_J2
