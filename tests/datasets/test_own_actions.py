import numpy as np
import pytest

from poseact.datasets.own_actions import choose_held_out, class_names, read_pose_table
from poseact.errors import InputError

HEADER = "url," + ",".join(f"j{i}{axis}" for i in range(1, 8) for axis in "xy") + ",label"
POSE = "4,6,4,3,3,0,0,-4,-3,0,-4,3,-4,6"  # shoulders 6 apart, head 4 above them: body scale 10
HANGING = np.float32([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]]) / 10


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines, header=HEADER):
        path = tmp_path / "poses.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return read_pose_table(path)

    return read_lines


def test_any_labels_become_classes_and_other_comes_last(read):
    poses, report = read(f"a.jpg,{POSE},Kick", f"b.jpg,{POSE},bow ", f"a.jpg,{POSE},kick")

    assert poses.classes == ("bow", "kick", "other")
    assert poses.labels_N.tolist() == [1, 0, 1]
    assert poses.groups_N.tolist() == ["a.jpg", "b.jpg", "a.jpg"]
    np.testing.assert_allclose(poses.joints_NJ3[0, :, :2], HANGING, atol=1e-6)
    assert (poses.joints_NJ3[..., 2] == 1).all()
    assert report.counts == {"bow": 1, "kick": 2, "other": 0}
    assert report.imbalance == 2
    assert report.lone_classes == ("bow", "kick")
    assert report.num_groups == 2


def test_a_group_column_says_who_belongs_together(read):
    poses, report = read(f"a.jpg,{POSE},bow,film", f"b.jpg,{POSE},bow,", header=f"{HEADER},group")

    assert poses.groups_N.tolist() == ["film", "b.jpg"]
    assert report.lone_classes == ()


def test_a_wrist_that_is_not_seen_stays_unknown(read):
    poses, _ = read(f"a.jpg,{POSE.replace('4,6,', ',,', 1)},bow")

    assert np.isnan(poses.joints_NJ3[0, 0, :2]).all()
    assert poses.joints_NJ3[0, :, 2].tolist() == [0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(f"a.jpg,{POSE},", "must not be empty", id="no label"),
        pytest.param(f",{POSE},bow", "must not be empty", id="no picture"),
        pytest.param(f"a.jpg,{POSE.replace('4,6,', 'x,6,', 1)},bow", "j1x .*'x'", id="a word"),
        pytest.param(f"a.jpg,{POSE.replace('0,-4', ',')},bow", "shoulders and head", id="no head"),
        pytest.param("a.jpg,1,2", "must not be empty", id="a short row"),
    ],
)
def test_a_row_of_no_use_is_left_out_and_named(read, line, reason):
    poses, report = read(f"a.jpg,{POSE},bow", line)

    assert len(poses) == 1
    [left_out] = report.unreadable
    assert left_out.split(": ", 1)[0].endswith("poses.csv:3")
    assert "rows left out: 1" in report.summary()
    with pytest.raises(InputError, match=f"no readable row.*:2: .*{reason}"):
        read(line)


def test_a_folder_holds_the_table_of_the_seed(data_dir):
    poses, report = read_pose_table(data_dir / "actions" / "namaste_hello")

    assert poses.classes == ("hello", "namaste", "other")
    assert report.counts == {"hello": 11, "namaste": 11, "other": 0}
    assert report.unreadable == ()
    assert "22 poses of 22 groups; largest class over smallest 1.0" in report.summary()


def test_a_table_that_is_none_is_refused(tmp_path, read):
    with pytest.raises(InputError, match="cannot be read"):
        read_pose_table(tmp_path)
    with pytest.raises(InputError, match=r"csv:1: has no column 'label'"):
        read(f"a.jpg,{POSE}", header=HEADER.removesuffix(",label"))
    with pytest.raises(InputError, match="no readable row"):
        read()


def test_other_is_a_class_whether_named_or_not():
    assert class_names(["kick", "other", "bow"]) == ("bow", "kick", "other")
    assert class_names(["kick"]) == ("kick", "other")


def split(rows, share=0.3, seed=0):
    """Hold out some of the rows, each written as a group and a label; return those held out."""
    groups_N, labels_N = np.array([row[0] for row in rows]), np.array([int(row[1]) for row in rows])
    is_out_N = choose_held_out(labels_N, groups_N, share=share, seed=seed)
    return [row for row, is_out in zip(rows, is_out_N, strict=True) if is_out]


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_whole_and_every_class_is_learnt_and_measured(seed):
    rows = ["a0", "a1", "b0", "b1", "c0", "c0", "d0", "d2", "e0", "e2", "f0", "f0"]

    out = split(rows, seed=seed)

    left = [row for row in rows if row not in out]
    assert {row[0] for row in out}.isdisjoint({row[0] for row in left})
    assert {row[1] for row in out} == {row[1] for row in left} == {"0", "1", "2"}


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_one_group_is_learnt(seed):
    out = split(["a0", "a1", "b0", "c0", "d0"], seed=seed)

    assert out
    assert "a1" not in out


def test_about_the_share_asked_for_is_held_out():
    rows = [f"{group}0" for group in "abcdefghij" for _ in range(5)]

    assert len(split(rows, share=0.3)) == 15
    assert len(split(rows, share=0.01)) == 5


@pytest.mark.parametrize("rows", [["a0", "a1"], ["a0", "b1"]], ids=["one group", "one class each"])
def test_what_cannot_be_split_is_refused(rows):
    with pytest.raises(InputError, match="in at least two videos"):
        split(rows)
