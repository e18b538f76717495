"""What all tables of a user's own labels have in common: cells, classes, the report, the split.

Shapes: N examples (poses or sequences), J = 7 joints in skeleton order.
"""

import csv
import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from poseact.errors import InputError
from poseact.geometry import FloatArray
from poseact.skeleton import NUM_JOINTS
from poseact.timeline.decide import OTHER

COORDINATES: Final = [f"j{joint}{axis}" for joint in range(1, NUM_JOINTS + 1) for axis in "xy"]
"""Columns of a pose: j1x, j1y, ..., j7y."""

MOST_ROWS_SHOWN: Final = 20
"""Of those left out."""

_SIDES: Final = {"left", "right", "clockwise", "counterclockwise", "anticlockwise"}


class Labelled(Protocol):
    """Labelled examples."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each label, ``other`` among them."""

    @property
    def labels_N(self) -> npt.NDArray[np.int64]:
        """Index into the classes of each example."""

    @property
    def groups_N(self) -> npt.NDArray[np.str_]:
        """Group of each example; those of one group never go to both sides of a split."""

    def __len__(self) -> int: ...

    def take(self, chosen_N: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """Return the chosen examples: a mask or indices."""

    def data_hash(self) -> str:
        """Return a hash of all that is learnt from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelReport:
    """What was found, to be looked at before anything is trained."""

    unit: str
    """What an example is: ``poses`` or ``sequences``."""

    counts: dict[str, int]
    """Examples of each class."""

    num_groups: int

    lone_classes: tuple[str, ...]
    """Classes that one group alone shows: they can be learnt, but not measured."""

    unreadable: tuple[str, ...] = ()
    """``file:line: reason`` of each row left out."""

    notes: tuple[str, ...] = ()
    """What else to know."""

    @property
    def imbalance(self) -> float:
        """Examples of the largest class over those of the smallest one that has any."""
        present = [count for count in self.counts.values() if count]
        return max(present) / min(present)

    def summary(self) -> str:
        """Return the report as lines of text."""
        found = f"{sum(self.counts.values())} {self.unit} of {self.num_groups} groups"
        lines = [
            f"{found}; largest class over smallest {self.imbalance:.1f}",
            *(f"  {name}: {count}" for name, count in self.counts.items()),
            *(f"one group alone shows {name}: it cannot be measured" for name in self.lone_classes),
            *self.notes,
        ]
        if not self.counts[OTHER]:
            lines.append(
                f"nothing is labelled {OTHER}: people who do none of these will be taken for the "
                "likeliest, unless its score is below rules.min_score. Label some."
            )
        if self.unreadable:
            shown = self.unreadable[:MOST_ROWS_SHOWN]
            lines += [f"rows left out: {len(self.unreadable)}", *shown]
            lines += ["..."] if len(shown) < len(self.unreadable) else []
        return "\n".join(lines)


def report_labels(
    data: Labelled, unit: str, *, unreadable: Sequence[str] = (), notes: Sequence[str] = ()
) -> LabelReport:
    """Count what there is to learn from."""
    shown = set(zip(data.labels_N.tolist(), data.groups_N.tolist(), strict=True))
    num_groups = Counter(label for label, _ in shown)
    return LabelReport(
        unit=unit,
        counts=count_classes(data.labels_N, data.classes),
        num_groups=len(set(data.groups_N.tolist())),
        lone_classes=tuple(n for i, n in enumerate(data.classes) if num_groups[i] == 1),
        unreadable=tuple(unreadable),
        notes=tuple(notes),
    )


def count_classes(labels_N: npt.NDArray[np.int64], classes: Sequence[str]) -> dict[str, int]:
    """Return how many examples each class has."""
    counts = np.bincount(labels_N, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, counts, strict=True)}


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that labels name, by name, and ``other`` last whether named or not."""
    return (*sorted(set(labels) - {OTHER}), OTHER)


def name_a_side(classes: Sequence[str]) -> list[str]:
    """Return the classes that name a side or a turn: mirror images are no examples of them."""
    return [name for name in classes if _SIDES & set(re.split(r"[\W_]+", name.lower()))]


def csv_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Read a CSV file: ``file:line`` and the cells of each row.

    Raises:
        InputError: If it cannot be read, or lacks a column.
    """
    header, rows = read_csv(path)
    for name in columns:
        if name not in header:
            raise InputError(f"{path}:1: has no column {name!r}; it needs {', '.join(columns)}.")
    return rows


def read_csv(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """Read any CSV file: its columns and, as ``csv_rows``, its rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = [(f"{path}:{reader.line_num}", row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error


def parse_joints(cells: Mapping[str, str]) -> FloatArray:
    """Return the joints of a row, (7, 2), both NaN where either is; ValueError if one is wrong."""
    values = [parse_number(name, cells[name]) for name in COORDINATES]
    joints_J2 = np.array(values, np.float32).reshape(NUM_JOINTS, 2)
    joints_J2[np.isnan(joints_J2).any(axis=1)] = np.nan
    return joints_J2


def parse_number(name: str, text: str) -> float:
    """Return the number of a cell, NaN where it is empty; ValueError if it is something else."""
    if text.strip().lower() in {"", "nan"}:
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a number or empty, got {text!r}")
    return number


def choose_held_out(
    labels_N: npt.NDArray[np.int64], groups_N: npt.NDArray[np.str_], *, share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose whole groups to hold out: every class is learnt, as many as can be measured.

    Args:
        labels_N: Class of each example, (N,).
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
