"""Labelled motion: one person's joints through time, and the reader of a table of it.

Shapes: T frames, J = 7 joints in skeleton order, N sequences.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from poseact.datasets.actions import with_confidence
from poseact.datasets.labels import (
    COORDINATES,
    LabelReport,
    class_names,
    count_classes,
    csv_rows,
    parse_joints,
    parse_number,
    report_labels,
)
from poseact.errors import InputError
from poseact.geometry import FloatArray

SEQUENCE_COLUMNS: Final = ("sequence_id", "t_s", *COORDINATES, "label")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionSequence:
    """One person doing one thing, from its first frame to its last."""

    joints_TJ3: FloatArray
    """x, y in any unit, y down, and confidence; x and y NaN where not seen."""

    pts_s_T: npt.NDArray[np.float64]
    """Time of each frame, seconds, increasing."""

    label: int
    """Index into the classes."""

    group: str
    """Person, camera or video; sequences of one group never go to both sides of a split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionSequences:
    """Labelled sequences and the names of their classes."""

    sequences: tuple[ActionSequence, ...]
    classes: tuple[str, ...]
    """Name of each label; ``other``, last, may have no sequence."""

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[ActionSequence]:
        return iter(self.sequences)

    @property
    def labels_N(self) -> npt.NDArray[np.int64]:
        """Label of each sequence."""
        return np.array([one.label for one in self.sequences], np.int64)

    @property
    def groups_N(self) -> npt.NDArray[np.str_]:
        """Group of each sequence."""
        return np.array([one.group for one in self.sequences], np.str_)

    def take(self, chosen_N: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """Return the chosen sequences: a mask or indices."""
        chosen = np.arange(len(self))[chosen_N]
        return dataclasses.replace(self, sequences=tuple(self.sequences[i] for i in chosen))

    def count_classes(self) -> dict[str, int]:
        """Return how many sequences each class has."""
        return count_classes(self.labels_N, self.classes)

    def data_hash(self) -> str:
        """Return a hash of joints, times and labels."""
        digest = hashlib.sha256(self.labels_N.tobytes())
        for one in self:
            digest.update(one.joints_TJ3.tobytes() + one.pts_s_T.tobytes())
        return digest.hexdigest()[:12]


def read_sequence_table(path: Path) -> tuple[ActionSequences, LabelReport]:
    """Read a table of sequences.

    Args:
        path: CSV file, one row per frame: ``sequence_id, t_s, j1x..j7y, label`` and, if the split
            is not to be by sequence, ``group``. Joints in any unit, y down, empty where not seen;
            the rows of a sequence in order of time, its label the same in all.

    Returns:
        The sequences in order of appearance, with the classes by name and ``other`` last, and a
        report that names every row left out.

    Raises:
        InputError: If the table is missing, lacks a column, or has no readable row.
    """
    frames: dict[str, list[_Frame]] = {}
    unreadable = []
    for where, cells in csv_rows(path, SEQUENCE_COLUMNS):
        try:
            frame = _parse_frame(cells)
            known = frames.setdefault(cells["sequence_id"], [])
            _check_follows(frame, known)
        except ValueError as error:
            unreadable.append(f"{where}: {error}")
        else:
            known.append(frame)
    data = _build([rows for rows in frames.values() if rows])
    if not len(data):
        raise InputError(
            f"{path}: has no readable row. " + (unreadable[0] if unreadable else "It is empty.")
        )
    return data, report_labels(data, "sequences", unreadable=unreadable)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Frame:
    t_s: float
    joints_J2: FloatArray
    label: str
    group: str


def _parse_frame(cells: dict[str, str]) -> _Frame:
    label = cells["label"].strip().lower()
    if not label or not cells["sequence_id"]:
        raise ValueError("sequence_id and label must not be empty")
    t_s = parse_number("t_s", cells["t_s"])
    if np.isnan(t_s):
        raise ValueError("t_s must not be empty")
    group = cells.get("group") or cells["sequence_id"]
    return _Frame(t_s=t_s, joints_J2=parse_joints(cells), label=label, group=group)


def _check_follows(frame: _Frame, known: Sequence[_Frame]) -> None:
    if not known:
        return
    if frame.t_s <= known[-1].t_s:
        raise ValueError(
            f"t_s must increase within a sequence, got {frame.t_s:g} after {known[-1].t_s:g}"
        )
    for name in ("label", "group"):
        got, expected = getattr(frame, name), getattr(known[0], name)
        if got != expected:
            raise ValueError(f"{name} is {got!r}, but {expected!r} in the sequence's first row")


def _build(sequences: Sequence[Sequence[_Frame]]) -> ActionSequences:
    classes = class_names([frames[0].label for frames in sequences])
    return ActionSequences(
        sequences=tuple(
            ActionSequence(
                joints_TJ3=with_confidence(np.stack([frame.joints_J2 for frame in frames])),
                pts_s_T=np.array([frame.t_s for frame in frames]),
                label=classes.index(frames[0].label),
                group=frames[0].group,
            )
            for frames in sequences
        ),
        classes=classes,
    )
