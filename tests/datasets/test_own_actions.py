import numpy as np
import pytest

from poseact.datasets.own_actions import read_examples, read_pose_table
from poseact.errors import ConfigError, InputError

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


def test_the_table_of_the_seed_is_read(data_dir):
    poses, report = read_pose_table(data_dir / "actions" / "namaste_hello" / "action_joints.csv")

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


@pytest.mark.parametrize(
    ("header", "is_moving", "unit"),
    [
        pytest.param(HEADER, False, "poses", id="poses"),
        pytest.param(f"sequence_id,t_s{HEADER[3:]}", False, "sequences", id="sequences"),
        pytest.param(f"sequence_id,t_s{HEADER[3:]}", True, "sequences", id="windows of sequences"),
    ],
)
def test_the_header_tells_the_form(tmp_path, header, is_moving, unit):
    table = tmp_path / "labels.csv"
    time = "0," if "t_s" in header else ""
    table.write_text(f"{header}\na,{time}{POSE},bow\n")

    examples, report = read_examples(table, None, is_moving=is_moving)

    assert examples.classes == ("bow", "other")
    assert f"1 {unit} of 1 groups" in report.summary()
    assert "nothing is labelled other" in report.summary()


@pytest.mark.parametrize(
    ("header", "settings", "error", "message"),
    [
        pytest.param(
            "video,label,from,to", {}, InputError,
            r"csv:1: fits none .*url,.*video,label,start,end.*sequence_id,", id="no form",
        ),
        pytest.param("", {}, InputError, r"csv:1: fits none", id="empty file"),
        pytest.param(
            "video,label,start,end", {}, ConfigError, "Pass --run OUT", id="intervals of no run"
        ),
        pytest.param(
            HEADER, {"run": "out"}, ConfigError, "joints of its own", id="a run beside poses"
        ),
        pytest.param(
            HEADER, {"is_moving": True}, ConfigError, "no motion", id="motion of single poses"
        ),
    ],
)  # fmt: skip
def test_a_table_and_settings_that_do_not_fit_are_refused(
    tmp_path, header, settings, error, message
):
    table = tmp_path / "labels.csv"
    table.write_text(header)

    with pytest.raises(error, match=message):
        read_examples(table, **{"run": None, "is_moving": False, **settings})
