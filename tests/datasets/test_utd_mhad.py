import numpy as np
import pytest
from scipy.io import savemat

from poseact.datasets.utd_mhad import TRAINING_PEOPLE, UTD_ACTIONS, project, read_utd_mhad
from poseact.errors import InputError
from poseact.models.features import raised_hand
from poseact.skeleton import HEAD, L_SHOULDER, L_WRIST, R_SHOULDER, R_WRIST


def write(folder, name="a3_s2_t1_skeleton.mat", *, shape=(20, 3, 5), key="d_skel"):
    skeleton_KCT = np.zeros(shape)
    if shape[:2] == (20, 3):
        skeleton_KCT[:, 2] = 2.0
        skeleton_KCT[6, 0], skeleton_KCT[10, 0] = -0.5, 0.5  # wrists
        skeleton_KCT[0, 1] = 0.4  # head
    savemat(folder / name, {key: skeleton_KCT})


def test_a_skeleton_becomes_a_picture_of_the_person(tmp_path):
    write(tmp_path)

    (one,) = read_utd_mhad(tmp_path)

    assert UTD_ACTIONS[one.label] == "right hand wave"
    assert one.group == "s2"
    np.testing.assert_allclose(one.pts_s_T, [0, 1 / 30, 2 / 30, 3 / 30, 4 / 30])
    # 0.5 m to the side at 2 m is a slope of 1/4; the person's left is on the picture's right
    np.testing.assert_allclose(one.joints_TJ3[0, L_WRIST], [0.25, 0, 1])
    np.testing.assert_allclose(one.joints_TJ3[0, R_WRIST], [-0.25, 0, 1])
    np.testing.assert_allclose(one.joints_TJ3[0, HEAD], [0, -0.2, 1], atol=1e-7)


def test_a_quarter_turn_brings_one_shoulder_before_the_other():
    skeleton_TJ3 = np.full((1, 7, 3), (0.0, 0.0, 3.0))
    skeleton_TJ3[0, L_SHOULDER, 0], skeleton_TJ3[0, R_SHOULDER, 0] = -0.2, 0.2
    skeleton_TJ3[0, R_WRIST] = (1.0, 0.3, 3.0)

    turned = project(skeleton_TJ3, 90)[0]

    np.testing.assert_allclose(turned[[L_SHOULDER, R_SHOULDER], 0], 0, atol=1e-7)
    # the wrist, 1 m to the side, is now 1 m nearer or farther: 2 m or 4 m away
    assert -turned[R_WRIST, 1] == pytest.approx(0.3 / 2)


def test_every_performance_is_seen_from_every_side(tmp_path):
    write(tmp_path)
    write(tmp_path, "a27_s1_t4_skeleton.mat", shape=(20, 3, 9))

    data = read_utd_mhad(tmp_path, yaws_deg=(-20, 0, 20))

    assert data.labels_N.tolist() == [26, 26, 26, 2, 2, 2]
    assert data.groups_N.tolist() == ["s1", "s1", "s1", "s2", "s2", "s2"]
    assert [len(one.pts_s_T) for one in data] == [9, 9, 9, 5, 5, 5]
    wrist_x = [one.joints_TJ3[0, R_WRIST, 0] for one in data][3:]
    # turned to -20, 0 and 20 degrees: 0.5 cos(20) aside and 0.5 sin(20) farther or nearer
    np.testing.assert_allclose(wrist_x, [-0.4698 / 2.171, -0.25, -0.4698 / 1.829], rtol=1e-3)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param({"name": "a28_s1_t1_skeleton.mat"}, "A in 1..27", id="no such action"),
        pytest.param({"name": "wave_skeleton.mat"}, "A in 1..27", id="another name"),
        pytest.param({"shape": (25, 3, 5)}, r"\(20, 3, T\), got \(25, 3, 5\)", id="other joints"),
        pytest.param({"shape": (20, 3, 0)}, r"\(20, 3, T\)", id="no frames"),
        pytest.param({"key": "skeleton"}, "d_skel", id="another variable"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, file, message):
    write(tmp_path, **file)

    with pytest.raises(InputError, match=rf"_skeleton.mat.*{message}"):
        read_utd_mhad(tmp_path)


def test_a_file_that_is_no_matlab_file_is_refused(tmp_path):
    (tmp_path / "a1_s1_t1_skeleton.mat").write_text("x" * 200)

    with pytest.raises(InputError, match="is no skeleton file"):
        read_utd_mhad(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no file"):
        read_utd_mhad(tmp_path)


def test_the_data_set_is_read_whole(data_dir):
    data = read_utd_mhad(data_dir / "actions" / "utd_mhad_skeleton")

    assert len(data) == 861
    assert set(data.count_classes().values()) == {0, 31, 32}
    assert data.count_classes()["other"] == 0
    assert np.isin(data.groups_N, TRAINING_PEOPLE).sum() == 431
    waves = data.take(data.labels_N == UTD_ACTIONS.index("right hand wave"))
    highest = [one.joints_TJ3[np.argmin(one.joints_TJ3[:, R_WRIST, 1])] for one in waves]
    assert np.mean(raised_hand(np.stack(highest)) == "right") > 0.8
