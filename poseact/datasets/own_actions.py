"""A user's own labels: the table of poses, the report on what there is, and the split by group.

Shapes: N poses or sequences, J = 7 joints in skeleton order.
"""

import csv
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from poseact.datasets.actions import ActionPoses, with_confidence
from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.models.features import is_measurable, normalise
from poseact.skeleton import NUM_JOINTS
from poseact.timeline.decide import OTHER

_TABLE_FILE: Final = "action_joints.csv"
_COORDINATES: Final = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]
_COLUMNS: Final = ["url", *_COORDINATES, "label"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelReport:
    """What was found, to be looked at before anything is trained."""

    counts: dict[str, int]
    """Poses of each class."""

    num_groups: int

    lone_classes: tuple[str, ...]
    """Classes that one group alone shows: they can be learnt, but not measured."""

    unreadable: tuple[str, ...] = ()
    """``file:line: reason`` of each row left out."""

    notes: tuple[str, ...] = ()
    """What else to know."""

    @property
    def imbalance(self) -> float:
        """Poses of the largest class over those of the smallest one that has any."""
        present = [count for count in self.counts.values() if count]
        return max(present) / min(present)

    def summary(self) -> str:
        """Return the report as lines of text."""
        found = f"{sum(self.counts.values())} poses of {self.num_groups} groups"
        lines = [
            f"{found}; largest class over smallest {self.imbalance:.1f}",
            *(f"  {name}: {count}" for name, count in self.counts.items()),
            *(f"one group alone shows {name}: it cannot be measured" for name in self.lone_classes),
            *self.notes,
        ]
        if self.unreadable:
            lines += [f"rows left out: {len(self.unreadable)}", *self.unreadable]
        return "\n".join(lines)


def report_poses(
    poses: ActionPoses, *, unreadable: Sequence[str] = (), notes: Sequence[str] = ()
) -> LabelReport:
    """Count what there is to learn from."""
    shown = set(zip(poses.labels_N.tolist(), poses.groups_N.tolist(), strict=True))
    num_groups = Counter(label for label, _ in shown)
    return LabelReport(
        counts=poses.count_classes(),
        num_groups=len(set(poses.groups_N.tolist())),
        lone_classes=tuple(n for i, n in enumerate(poses.classes) if num_groups[i] == 1),
        unreadable=tuple(unreadable),
        notes=tuple(notes),
    )


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that labels name, by name, and ``other`` last whether named or not."""
    return (*sorted(set(labels) - {OTHER}), OTHER)


def read_pose_table(path: Path) -> tuple[ActionPoses, LabelReport]:
    """Read a table of labelled poses with any labels, such as the seed's.

    Args:
        path: The CSV file, or the folder that holds it as ``action_joints.csv``. One pose per
            row: ``url, j1x..j7y, label`` and, if the split is not to be by url, ``group``. Joints
            in any unit, y down, empty where not seen.

    Returns:
        The poses, with the classes of the table and ``other``, and a report that names every row
        left out.

    Raises:
        InputError: If the table is missing, lacks a column, or has no readable row.
    """
    path = path / _TABLE_FILE if path.is_dir() else path
    rows, unreadable = [], []
    for where, cells in csv_rows(path, _COLUMNS):
        try:
            rows.append(_parse(cells))
        except ValueError as error:
            unreadable.append(f"{where}: {error}")
    if not rows:
        raise InputError(f"{path}: has no readable row. {'; '.join(unreadable[:1])}")
    joints, labels, groups = zip(*rows, strict=True)
    classes = class_names(labels)
    poses = ActionPoses(
        joints_NJ3=with_confidence(normalise(np.stack(joints))),
        labels_N=np.array([classes.index(label) for label in labels]),
        groups_N=np.array(groups),
        classes=classes,
    )
    return poses, report_poses(poses, unreadable=unreadable)


def csv_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Read a CSV file: ``file:line`` and the cells of each row.

    Raises:
        InputError: If it cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            for name in columns:
                if name not in (reader.fieldnames or ()):
                    raise InputError(
                        f"{path}:1: has no column {name!r}; it needs {', '.join(columns)}."
                    )
            return [(f"{path}:{reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error


def choose_held_out(
    labels_N: npt.NDArray[np.int64], groups_N: npt.NDArray[np.str_], *, share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose whole groups to hold out: every class is learnt, as many as can be measured.

    Args:
        labels_N: Class of each pose or sequence, (N,).
        groups_N: Video, person or picture of each, (N,).
        share: About how much to hold out, in (0, 1).
        seed: Fixes which groups.

    Returns:
        What is held out, (N,). No class has all of its groups there.

    Raises:
        InputError: If no group can be held out: there is but one, or each alone shows a class.
    """
    groups, group_N = np.unique(groups_N, return_inverse=True)
    shows_GA = np.zeros((len(groups), labels_N.max(initial=0) + 1), bool)
    shows_GA[group_N, labels_N] = True
    size_G = np.bincount(group_N, minlength=len(groups))
    is_out_G = np.zeros(len(groups), bool)

    def can_go(group: int) -> bool:
        stays_G = ~is_out_G
        stays_G[group] = False
        return bool((shows_GA[stays_G].any(axis=0) >= shows_GA[group]).all())

    order = np.random.default_rng(seed).permutation(len(groups))
    rarest_first = np.argsort(shows_GA.sum(axis=0), kind="stable")
    for label in rarest_first:
        candidates = [group for group in order if shows_GA[group, label] and can_go(group)]
        if candidates and not (is_out_G & shows_GA[:, label]).any():
            is_out_G[candidates[0]] = True
    for group in order:
        if size_G[is_out_G].sum() < share * len(labels_N) and can_go(group):
            is_out_G[group] = True
    if not is_out_G.any():
        raise InputError(
            f"none of the {len(groups)} groups can be held out to measure on, because each alone "
            "shows some action. Label every action in at least two videos or groups."
        )
    return np.asarray(is_out_G[group_N])


def _parse(cells: dict[str, str]) -> tuple[FloatArray, str, str]:
    """Return joints (7, 2), label and group of a row; ValueError if it is of no use."""
    label = cells["label"].strip().lower()
    group = cells.get("group") or cells["url"]
    if not label or not group:
        raise ValueError("url and label must not be empty")
    values = [_parse_number(name, cells[name]) for name in _COORDINATES]
    joints_J2 = np.array(values, np.float32).reshape(NUM_JOINTS, 2)
    if not is_measurable(joints_J2[None])[0]:
        raise ValueError("shoulders and head are needed, and not all in one place")
    return joints_J2, label, group


def _parse_number(name: str, text: str) -> float:
    if not text.strip():
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a number or empty, got {text!r}")
    return number
