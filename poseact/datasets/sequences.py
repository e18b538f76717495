"""Labelled motion: one person's joints through time, and the reader of a table of it.

Shapes: T frames, J = 7 joints in skeleton order, N sequences.
"""

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.models.action import OTHER_CLASS
from poseact.skeleton import NUM_JOINTS

_COORDINATES = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]
_COLUMNS = ["sequence_id", "t_s", *_COORDINATES, "label"]
_GROUP_COLUMN = "group"


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

    def take(self, is_chosen_N: npt.NDArray[np.bool_]) -> Self:
        """Return the sequences that a mask chooses."""
        chosen = [one for one, keep in zip(self, is_chosen_N, strict=True) if keep]
        return dataclasses.replace(self, sequences=tuple(chosen))

    def count_classes(self) -> dict[str, int]:
        """Return how many sequences each class has."""
        counts = np.bincount(self.labels_N, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}


def hold_out_groups(
    data: ActionSequences, share: float, seed: int
) -> tuple[ActionSequences, ActionSequences]:
    """Split sequences so that no group is on both sides.

    Args:
        data: All sequences.
        share: About how much of them to hold out, in (0, 1).
        seed: Fixes which groups.

    Returns:
        Those to train on and those held out: drawn group by group until their share is reached,
        at least one group on either side.

    Raises:
        InputError: If there is one group only.
    """
    groups, counts = np.unique(data.groups_N, return_counts=True)
    if len(groups) == 1:
        raise InputError(
            f"all {len(data)} sequences are of one group, {str(groups[0])!r}, so that none can be "
            f"held out. Tell people or videos apart in a column {_GROUP_COLUMN!r}."
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    num_before = np.concatenate([[0], counts[order].cumsum()[:-1]])
    chosen = order[:-1][num_before[:-1] < share * len(data)]
    is_held_out_N = np.isin(data.groups_N, groups[chosen])
    return data.take(~is_held_out_N), data.take(is_held_out_N)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceReport:
    """What a reader found, to be looked at before anything is trained."""

    counts: dict[str, int]
    """Sequences of each class."""

    num_groups: int
    total_s: float
    """Seconds of motion."""

    unreadable: tuple[str, ...] = ()
    """``file:line: reason`` of each row left out."""

    @property
    def imbalance(self) -> float:
        """Sequences of the largest class over those of the smallest one that has any."""
        present = [count for count in self.counts.values() if count]
        return max(present) / min(present)

    def summary(self) -> str:
        """Return the report as lines of text."""
        found = f"{sum(self.counts.values())} sequences of {self.num_groups} groups"
        balance = f"largest class over smallest {self.imbalance:.1f}"
        lines = [f"{found}, {self.total_s:.0f} s; {balance}"]
        lines += [f"  {name}: {count}" for name, count in self.counts.items()]
        if self.unreadable:
            lines += [f"rows left out: {len(self.unreadable)}", *self.unreadable]
        return "\n".join(lines)


def report_sequences(data: ActionSequences, unreadable: Sequence[str] = ()) -> SequenceReport:
    """Count what there is to learn from."""
    return SequenceReport(
        counts=data.count_classes(),
        num_groups=len(set(data.groups_N.tolist())),
        total_s=sum(float(one.pts_s_T[-1] - one.pts_s_T[0]) for one in data),
        unreadable=tuple(unreadable),
    )


def read_sequence_table(path: Path) -> tuple[ActionSequences, SequenceReport]:
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
    for where, row in _read_rows(path):
        try:
            frame = _parse_frame(row)
            known = frames.setdefault(row["sequence_id"], [])
            _check_follows(frame, known)
        except ValueError as error:
            unreadable.append(f"{where}: {error}")
        else:
            known.append(frame)
    data = _build({name: rows for name, rows in frames.items() if rows})
    if not len(data):
        raise InputError(
            f"{path}: has no readable row. " + (unreadable[0] if unreadable else "It is empty.")
        )
    return data, report_sequences(data, unreadable)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Frame:
    t_s: float
    joints_J3: FloatArray
    label: str
    group: str


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}:1: has no column {missing[0]!r}; it needs sequence_id, t_s, j1x, "
                    "j1y, ..., j7y, label."
                )
            for row in reader:
                yield f"{path}:{reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error


def _parse_frame(row: dict[str, str]) -> _Frame:
    label = row["label"].strip().lower()
    if not label or not row["sequence_id"]:
        raise ValueError("sequence_id and label must not be empty")
    t_s = _parse_number("t_s", row["t_s"])
    if np.isnan(t_s):
        raise ValueError("t_s must not be empty")
    values = [_parse_number(name, row[name]) for name in _COORDINATES]
    xy_J2 = np.array(values, np.float32).reshape(NUM_JOINTS, 2)
    is_seen_J1 = np.isfinite(xy_J2).all(axis=1, keepdims=True)
    joints_J3 = np.hstack([np.where(is_seen_J1, xy_J2, np.nan), is_seen_J1])
    group = row.get(_GROUP_COLUMN) or row["sequence_id"]
    return _Frame(t_s=t_s, joints_J3=joints_J3.astype(np.float32), label=label, group=group)


def _parse_number(name: str, text: str) -> float:
    if text.strip().lower() in {"", "nan"}:
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a number, got {text!r}")
    return number


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


def _build(frames: dict[str, list[_Frame]]) -> ActionSequences:
    names = {rows[0].label for rows in frames.values()} - {OTHER_CLASS}
    classes = (*sorted(names), OTHER_CLASS)
    sequences = [
        ActionSequence(
            joints_TJ3=np.stack([frame.joints_J3 for frame in rows]),
            pts_s_T=np.array([frame.t_s for frame in rows]),
            label=classes.index(rows[0].label),
            group=rows[0].group,
        )
        for rows in frames.values()
    ]
    return ActionSequences(sequences=tuple(sequences), classes=classes)
