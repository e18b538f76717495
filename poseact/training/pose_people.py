"""Whom pose training learns from, and on whom it watches its progress."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from poseact.datasets.flic import read_flic
from poseact.datasets.folders import read_crop_folder, read_people_folder
from poseact.datasets.folds import fold_of
from poseact.datasets.person import LabelledPerson, joints_square
from poseact.errors import InputError
from poseact.evaluation.protocols import guess_protocol
from poseact.training.config import TrainPoseConfig

MIN_LABELLED_JOINTS = 4
MIN_SQUARE_PX = 40
"""People smaller than this or with fewer labelled joints teach more noise than pose."""

CROP_MARGIN = 1.6
"""Side of the training square over the joints' extent, for people cut out around their joints."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PosePeople:
    """The people of a run, in a fixed order."""

    train: list[LabelledPerson]
    """Whom it learns from."""

    repeats: list[int]
    """Times that each of them is seen in an epoch."""

    validation: list[LabelledPerson]
    """On whom it watches its progress; nobody where there are no films."""


def read_people(config: TrainPoseConfig) -> PosePeople:
    """Read everybody that the settings allow to learn from.

    Returns:
        The people; the first ``validation_films`` films by hash of their name are held out.

    Raises:
        InputError: If a folder cannot be read.
    """
    repeats = config.repeats or (1,) * len(config.data)
    everybody = [
        (person, times)
        for folder, times in zip(config.data, repeats, strict=True)
        for person in _read_folder(folder, config)
    ]
    films = {person.group for person, _ in everybody if person.official_split}
    held_out = sorted(films, key=_digest)[: config.validation_films]
    train = [(person, times) for person, times in everybody if person.group not in held_out]
    if config.limit is not None and config.limit < len(train):
        rows = np.linspace(0, len(train) - 1, config.limit).astype(int)
        train = [train[row] for row in rows]
    return PosePeople(
        train=[person for person, _ in train],
        repeats=[times for _, times in train],
        validation=[person for person, _ in everybody if person.group in held_out],
    )


def _read_folder(folder: Path, config: TrainPoseConfig) -> list[LabelledPerson]:
    protocol = guess_protocol(folder)
    if protocol == "video":
        raise InputError(f"{folder}: reference joints are for measuring, never for training.")
    if protocol == "people":
        people = [person for person in read_people_folder(folder, "train") if _is_clear(person)]
    elif protocol == "crops":
        people = [_with_training_square(person) for person in read_crop_folder(folder)]
    else:
        people = [
            _with_training_square(person)
            for person in read_flic(folder)
            if config.fold is not None or _is_in_train(person, config)
        ]
    return [person for person in people if fold_of(person.group) != config.fold]


def _is_clear(person: LabelledPerson) -> bool:
    num_labelled = int((person.joints_J3[:, 2] > 0).sum())
    return num_labelled >= MIN_LABELLED_JOINTS and person.square[2] >= MIN_SQUARE_PX


def _with_training_square(person: LabelledPerson) -> LabelledPerson:
    square = joints_square(person.joints_J3, margin=CROP_MARGIN)
    return dataclasses.replace(person, square=square)


def _is_in_train(person: LabelledPerson, config: TrainPoseConfig) -> bool:
    supplied = person.split != "test" or config.flic_train == "official"
    official = person.official_split != "test" or config.flic_train == "supplied"
    return supplied and official


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
