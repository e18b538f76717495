import re

import numpy as np
import pytest

from poseact.datasets.sequences import read_sequence_table
from poseact.errors import InputError

COORDINATES = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
HEADER = ",".join(["sequence_id", "t_s", *COORDINATES, "label"])


def row(sequence_id="a", t_s="0", label="bow", **changed):
    values = {name: str(index) for index, name in enumerate(COORDINATES)} | changed
    return ",".join([sequence_id, t_s, *values.values(), label])


def write(folder, *rows, header=HEADER):
    path = folder / "motion.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_sequences_are_put_together_from_rows_that_interleave(tmp_path):
    path = write(
        tmp_path,
        row("b", "1.0", "Wave"),
        row("a", "0.5", "bow", j1x="", j1y=""),
        row("b", "1.25", "wave", j7x="90"),
    )

    data, report = read_sequence_table(path)

    assert data.classes == ("bow", "wave", "other")
    assert data.labels_N.tolist() == [1, 0]
    assert data.groups_N.tolist() == ["b", "a"]
    wave, bow = data
    assert wave.pts_s_T.tolist() == [1.0, 1.25]
    assert wave.joints_TJ3[1, 6].tolist() == [90, 13, 1]
    np.testing.assert_array_equal(bow.joints_TJ3[0, 0], [np.nan, np.nan, 0])
    assert bow.joints_TJ3[0, 1].tolist() == [2, 3, 1]
    assert report.counts == {"bow": 1, "wave": 1, "other": 0}
    assert report.unreadable == ()


def test_a_joint_with_one_coordinate_is_not_seen(tmp_path):
    data, _ = read_sequence_table(write(tmp_path, row(j2y="nan")))

    np.testing.assert_array_equal(next(iter(data)).joints_TJ3[0, 1], [np.nan, np.nan, 0])


def test_a_group_column_keeps_sequences_of_one_person_together(tmp_path):
    rows = [row("a") + ",anna", row("b") + ",anna", row("c") + ","]
    data, report = read_sequence_table(write(tmp_path, *rows, header=HEADER + ",group"))

    assert data.groups_N.tolist() == ["anna", "anna", "c"]
    assert report.num_groups == 2
    assert len(data.take(data.groups_N == "anna")) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(
            row(t_s="0.5", j3x="left"), "j3x must be a number or empty, got 'left'", id="word"
        ),
        pytest.param(
            row(t_s="0.5", j3x="inf"), "j3x must be a number or empty, got 'inf'", id="infinite"
        ),
        pytest.param(row(t_s=""), "t_s must not be empty", id="no time"),
        pytest.param(row(t_s="0"), "t_s must increase .* got 0 after 0", id="same time"),
        pytest.param(row(t_s="0.5", label="nod"), "label is 'nod', but 'bow'", id="new label"),
        pytest.param(row(t_s="0.5", label=" "), "must not be empty", id="no label"),
        pytest.param("", "must not be empty", id="no sequence"),
        pytest.param("a,0.5,1,2", "label must not be empty", id="short row"),
    ],
)
def test_a_row_that_cannot_be_read_is_left_out_and_named(tmp_path, bad, reason):
    bad = bad or row(sequence_id="")

    data, report = read_sequence_table(write(tmp_path, row(), bad, row(t_s="1")))

    assert [one.pts_s_T.tolist() for one in data] == [[0, 1]]
    assert len(report.unreadable) == 1
    assert re.search(rf"motion.csv:3: .*{reason}", report.unreadable[0])


def test_the_report_tells_counts_imbalance_and_rows_left_out(tmp_path):
    rows = [row(f"s{i}") for i in range(3)] + [row("w", label="wave"), row("x", t_s="soon")]

    _, report = read_sequence_table(write(tmp_path, *rows))

    lines = report.summary().splitlines()
    assert lines[0] == "4 sequences of 4 groups; largest class over smallest 3.0"
    assert lines[1:4] == ["  bow: 3", "  wave: 1", "  other: 0"]
    assert lines[-2] == "rows left out: 1"
    assert lines[-1].endswith("motion.csv:6: t_s must be a number or empty, got 'soon'")


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        pytest.param([row()], HEADER.replace("t_s,", ""), r"csv:1: .*'t_s'", id="no column"),
        pytest.param([], HEADER, "no readable row", id="no rows"),
        pytest.param([row(t_s="x")], HEADER, r"no readable row. .*csv:2: t_s", id="only bad ones"),
    ],
)
def test_a_table_without_sequences_is_refused(tmp_path, rows, header, message):
    with pytest.raises(InputError, match=message):
        read_sequence_table(write(tmp_path, *rows, header=header))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_sequence_table(tmp_path / "none.csv")


def test_of_many_rows_left_out_the_first_are_shown(tmp_path):
    rows = [row()] + [row("x", t_s="soon")] * 30

    _, report = read_sequence_table(write(tmp_path, *rows))

    lines = report.summary().splitlines()
    assert "rows left out: 30" in lines
    assert lines[-1] == "..."
    assert "motion.csv:22: " in lines[-2]
