import numpy as np
import pytest

from poseact.models.features import distances, mirror, normalise, raised_hand
from poseact.skeleton import HEAD, L_ELBOW, L_WRIST, MIRROR, R_ELBOW, R_SHOULDER, R_WRIST

# Shoulders 6 apart and the head 4 above their middle: the body scale is 10.
HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
PAIRS = list(zip(*np.triu_indices(7, k=1), strict=True))


def with_joints(**moved):
    joints_J2 = HANGING.copy()
    for name, xy in moved.items():
        joints_J2[{"lw": L_WRIST, "le": L_ELBOW, "rw": R_WRIST, "re": R_ELBOW}[name]] = xy
    return joints_J2


def test_distances_are_measured_in_shoulder_width_plus_height_of_the_head():
    got = dict(zip(PAIRS, distances(HANGING[None])[0], strict=True))

    assert got[2, 4] == pytest.approx(0.6)
    assert got[0, 6] == pytest.approx(0.8)
    assert got[2, 3] == pytest.approx(0.5)  # 3-4-5 triangle
    assert got[0, 1] == pytest.approx(0.3)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda j: j + np.float32([100, -40]), id="shift"),
        pytest.param(lambda j: j * np.float32(7.5), id="scale"),
        pytest.param(lambda j: j @ np.float32([[0, 1], [-1, 0]]), id="quarter turn"),
        pytest.param(lambda j: mirror(j, swap_labels=False), id="flip without swap"),
    ],
)
def test_distances_ignore(change):
    poses = np.random.default_rng(0).normal(size=(20, 7, 2)).astype(np.float32)

    np.testing.assert_allclose(distances(change(poses)), distances(poses), rtol=1e-3)


def test_an_unseen_wrist_leaves_the_other_distances_alone():
    unseen = with_joints(rw=(np.nan, np.nan))

    got, whole = distances(unseen[None])[0], distances(HANGING[None])[0]

    is_wrist = np.array([R_WRIST in pair for pair in PAIRS])
    assert np.isnan(got[is_wrist]).all()
    np.testing.assert_array_equal(got[~is_wrist], whole[~is_wrist])


@pytest.mark.parametrize("joint", [HEAD, R_SHOULDER])
def test_without_head_or_shoulder_nothing_can_be_measured(joint):
    unseen = HANGING.copy()
    unseen[joint] = np.nan

    assert np.isnan(distances(unseen[None])).all()


def test_joints_that_all_coincide_have_no_scale():
    assert np.isnan(distances(np.ones((1, 7, 2), np.float32))).all()


def test_normalised_shoulders_lie_about_the_origin():
    got = normalise(HANGING[None] * 3 + 50)[0]

    np.testing.assert_allclose(got, HANGING / 10, atol=1e-6)


def test_the_mirror_turns_a_raised_right_hand_into_a_raised_left_one():
    waving = with_joints(re=(-6, -1), rw=(-6, -6))[None]

    assert raised_hand(waving).tolist() == ["right"]
    assert raised_hand(mirror(waving)).tolist() == ["left"]
    assert raised_hand(mirror(waving, swap_labels=False)).tolist() == ["right"]
    np.testing.assert_array_equal(mirror(mirror(waving)), waving)


def test_the_mirror_keeps_further_columns_with_their_joint():
    confidence = np.arange(7, dtype=np.float32)
    joints = np.concatenate([HANGING, confidence[:, None]], axis=1)

    assert mirror(joints[None])[0, :, 2].tolist() == list(MIRROR)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        pytest.param({}, None, id="arms hanging"),
        pytest.param({"lw": (5, -3), "le": (6, 1)}, "left", id="left hand up"),
        pytest.param({"rw": (-5, -3), "re": (-6, 1)}, "right", id="right hand up"),
        pytest.param({"lw": (5, -3), "rw": (-5, -3)}, "both", id="both up"),
        pytest.param({"rw": (-5, -0.5)}, None, id="level with the shoulder is not up"),
        pytest.param({"rw": (-5, -3), "re": (-6, -5)}, None, id="below its elbow is not up"),
        pytest.param({"rw": (np.nan, np.nan)}, None, id="an unseen wrist is not up"),
        pytest.param(
            {"rw": (-5, -3), "re": (np.nan, np.nan)}, None, id="nor one with an unseen elbow"
        ),
    ],
)
def test_raised_hand(moved, expected):
    joints_J3 = np.concatenate([with_joints(**moved), np.ones((7, 1), np.float32)], axis=1)

    assert raised_hand(joints_J3[None]).tolist() == [expected]
