"""A user's own labels, in whichever form they are written down."""

from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from poseact.datasets.actions import POSE_COLUMNS, ActionPoses, with_confidence
from poseact.datasets.intervals import INTERVAL_COLUMNS, read_intervals
from poseact.datasets.labelled_run import label_run
from poseact.datasets.labels import (
    LabelReport,
    class_names,
    csv_rows,
    parse_joints,
    read_csv,
    report_labels,
)
from poseact.datasets.sequences import SEQUENCE_COLUMNS, ActionSequences, read_sequence_table
from poseact.errors import ConfigError, InputError
from poseact.geometry import FloatArray
from poseact.models.features import is_measurable, normalise

Examples: TypeAlias = ActionPoses | ActionSequences

FORMS: Final = (
    "url,j1x,j1y,...,j7y,label (a pose per row); "
    "video,label,start,end[,track] (an interval of a recording per row, with --run OUT); "
    "sequence_id,t_s,j1x,j1y,...,j7y,label (a frame of a sequence per row)"
)
"""The columns of each kind of table."""


def read_examples(
    table: Path, run: Path | None, *, is_moving: bool
) -> tuple[Examples, LabelReport]:
    """Read a table of labels; its columns tell which form it has.

    Args:
        table: CSV file in one of the ``FORMS``.
        run: Folder of the finished run that intervals are about.
        is_moving: Whether intervals become sequences instead of single poses.

    Returns:
        Poses or sequences, and what there is to learn from.

    Raises:
        ConfigError: If a setting does not go with this form.
        InputError: If the table, or the run, cannot be used.
    """
    header = set(read_csv(table)[0])
    if header.issuperset(INTERVAL_COLUMNS):
        if run is None:
            raise ConfigError(
                f"{table}: labels intervals of recordings. Pass --run OUT, the --out of a finished "
                "`poseact analyze` over them."
            )
        labelled = label_run(read_intervals(table), run)
        return (labelled.sequences if is_moving else labelled.poses), labelled.report
    if run is not None:
        raise ConfigError(f"{table}: has joints of its own. --run goes with a table of intervals.")
    if header.issuperset(SEQUENCE_COLUMNS):
        return read_sequence_table(table)
    if header.issuperset(POSE_COLUMNS):
        if is_moving:
            raise ConfigError(f"{table}: single poses have no motion. Leave --window-s out.")
        return read_pose_table(table)
    raise InputError(f"{table}:1: fits none of the forms that labels may have: {FORMS}.")


def read_pose_table(path: Path) -> tuple[ActionPoses, LabelReport]:
    """Read a table of labelled poses with any labels, such as the seed's.

    Args:
        path: CSV file, one pose per row: ``url, j1x..j7y, label`` and, if the split is not to be
            by url, ``group``. Joints in any unit, y down, empty where not seen.

    Returns:
        The poses, with the classes of the table and ``other``, and a report that names every row
        left out.

    Raises:
        InputError: If the table is missing, lacks a column, or has no readable row.
    """
    rows, unreadable = [], []
    for where, cells in csv_rows(path, POSE_COLUMNS):
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
    return poses, report_labels(poses, "poses", unreadable=unreadable)


def _parse(cells: dict[str, str]) -> tuple[FloatArray, str, str]:
    """Return joints (7, 2), label and group of a row; ValueError if it is of no use."""
    label = cells["label"].strip().lower()
    group = cells.get("group") or cells["url"]
    if not label or not group:
        raise ValueError("url and label must not be empty")
    joints_J2 = parse_joints(cells)
    if not is_measurable(joints_J2[None])[0]:
        raise ValueError("shoulders and head are needed, and not all in one place")
    return joints_J2, label, group
