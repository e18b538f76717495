"""The pose protocols: which people are measured, on which crops, against which normaliser.

Shape letters: P people, J joints.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poseact.datasets.flic import read_flic
from poseact.datasets.folders import read_crop_folder, read_people_folder, read_table
from poseact.datasets.folds import NUM_FOLDS, fold_of
from poseact.datasets.person import LabelledPerson, read_picture
from poseact.errors import ConfigError, InputError
from poseact.evaluation.find import CropFinder, Finder, NamedModel, find_joints
from poseact.evaluation.reference import read_video_subjects
from poseact.evaluation.samples import PoseSamples
from poseact.evaluation.subjects import GroupKind, Subjects, people_subjects
from poseact.geometry import FloatArray
from poseact.models.looks import Square

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
    model: NamedModel, folder: Path, protocol: str, split: str | None = None
) -> dict[str, Any]:
    """Measure one model on a folder.

    Args:
        model: The model.
        folder: The data.
        protocol: ``supplied``, ``official``, ``people``, ``video`` or ``crops``.
        split: Name of the split; None takes test (FLIC) or val (people).

    Returns:
        Figures by name, ready for JSON: errors in the pixels of 224-pixel crops, PCK in percent.

    Raises:
        InputError: If the data cannot be read or is empty.
        ConfigError: If protocol or split do not fit the folder.
    """
    return measure(CropFinder(model), select(folder, protocol, split)).report()


def predict_people(
    model: NamedModel, people: Sequence[LabelledPerson], squares: Sequence[Square] | None = None
) -> FloatArray:
    """Find the joints of labelled people.

    Args:
        model: The model.
        people: Whom to look at.
        squares: Crop of each; None takes the person's own.

    Returns:
        (P, J, 3): x, y in the pixels of the person's picture, confidence.
    """
    return find_joints(
        CropFinder(model),
        enumerate(map(read_picture, people)),
        squares or [person.square for person in people],
        [person.group for person in people],
    )


def select(
    folder: Path, protocol: str, split: str | None = None, folds: Collection[int] = ()
) -> Subjects:
    """Choose whom to measure.

    Args:
        folder: The data.
        protocol: One of ``MARKS``, or ``disjoint``.
        split: Name of the split; None takes test (FLIC) or val (people).
        folds: With ``disjoint``, the folds of the people to measure.

    Raises:
        InputError: If the data cannot be read or is empty.
        ConfigError: If protocol or split do not fit the folder.
    """
    if protocol in ("supplied", "official"):
        return _select_flic(folder, protocol, split or "test")
    if protocol == "people":
        split = split or "val"
        return people_subjects(
            read_people_folder(folder, split, min_torso_fraction=MIN_TORSO_FRACTION),
            description=f"people, {folder.name} {split}, crops from boxes, every labelled joint",
        )
    if split is not None:
        raise ConfigError(f"{folder}: the {protocol} protocol has no splits. Leave --split out.")
    if protocol == "video":
        return read_video_subjects(folder)
    if protocol == "disjoint":
        return _select_folds(folder, sorted(folds))
    if protocol == "crops":
        return people_subjects(
            _some(_read_crops(folder), folder, protocol),
            description=f"crops of {folder.name}, as they are",
        )
    raise ConfigError(f"protocol: {protocol!r} is unknown.")


def measure(finder: Finder, subjects: Subjects) -> PoseSamples:
    """Run a model on everybody; people in pictures are also shown in jittered crops."""
    return PoseSamples(
        subjects=subjects,
        found_PJ3=_find(finder, subjects, subjects.squares),
        jittered_PJ3=None
        if subjects.group_kind == "recording"
        else _find(finder, subjects, _jittered(subjects.squares)),
    )


def jitter_squares(people: Sequence[LabelledPerson]) -> list[Square]:
    """Return crops as loose and shifted as a detector's, the same on every call."""
    return _jittered([person.square for person in people])


def _jittered(squares: Sequence[Square]) -> list[Square]:
    rng = np.random.default_rng(JITTER_SEED)
    jittered = []
    for center_x, center_y, side in squares:
        shift_x, shift_y = side * rng.uniform(-JITTER_SHIFT, JITTER_SHIFT, 2)
        jittered.append((center_x + shift_x, center_y + shift_y, side * rng.uniform(*JITTER_SCALE)))
    return jittered


def _find(finder: Finder, subjects: Subjects, squares: Sequence[Square]) -> FloatArray:
    return find_joints(finder, subjects.read(range(len(squares))), squares, subjects.groups)


def _select_flic(folder: Path, protocol: str, split: str) -> Subjects:
    everybody = read_flic(folder)
    name = "split" if protocol == "supplied" else "official_split"
    people = [person for person in everybody if getattr(person, name) == split]
    return people_subjects(
        _some(people, folder, f"{protocol} {split}"),
        others=[person for person in everybody if getattr(person, name) == "train"],
        description=f"FLIC {protocol} {split}, ground-truth crops, person-centric",
        group_kind="film",
    )


def _select_folds(folder: Path, folds: Sequence[int]) -> Subjects:
    layout = guess_protocol(folder)
    which = f"folds {' '.join(map(str, folds))} of {NUM_FOLDS}"
    group_kind: GroupKind = "picture"
    if layout in ("supplied", "official"):
        people, group_kind = read_flic(folder), "film"
        description = f"FLIC film-disjoint, {which}, ground-truth crops, person-centric"
    elif layout == "people":
        people = _read_all_splits(folder)
        description = (
            f"people, {folder.name} picture-disjoint, {which}, crops from boxes, "
            "every labelled joint"
        )
    elif layout == "crops":
        people = _read_crops(folder)
        description = f"crops of {folder.name}, picture-disjoint, {which}, as they are"
    else:
        raise ConfigError(
            f"{folder}: nothing learns from reference joints, so they have no folds. "
            "Use --protocol video."
        )
    people = [person for person in people if fold_of(person.group) in folds]
    return people_subjects(
        _some(people, folder, which), description=description, group_kind=group_kind
    )


def _read_crops(folder: Path) -> list[LabelledPerson]:
    return [person for person in read_crop_folder(folder) if person.torso_px > 0]


def _read_all_splits(folder: Path) -> list[LabelledPerson]:
    splits = read_table(folder / "pictures.csv", ["split"]).split.unique().tolist()
    return [
        person
        for split in sorted(splits)
        for person in read_people_folder(folder, split, min_torso_fraction=MIN_TORSO_FRACTION)
    ]


def _some(people: list[LabelledPerson], folder: Path, part: str) -> list[LabelledPerson]:
    if not people:
        raise InputError(f"{folder}: nobody to measure in {part}.")
    return people
