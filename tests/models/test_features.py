import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseact.models.features import (
    FEATURES,
    distances,
    graph,
    is_measurable,
    mirror,
    normalise,
    raised_hand,
)
from poseact.skeleton import HEAD, L_ELBOW, L_WRIST, MIRROR, R_ELBOW, R_SHOULDER, R_WRIST

# Shoulders 6 apart and the head 4 above their middle: the body scale is 10.
HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
PAIRS = list(zip(*np.triu_indices(7, k=1), strict=True))

INVARIANT = ["distances", "graph"]

unhurried = settings(deadline=None)  # a busy machine is no error


@st.composite
def poses(draw):
    """One pose on a grid, so that joints coincide now and then; some joints are not seen."""
    xy = draw(arrays.arrays(np.float32, (7, 2), elements=st.integers(-40, 40)))
    is_unseen = draw(arrays.arrays(np.bool_, 7))
    confidence = draw(arrays.arrays(np.float32, (7, 1), elements=st.floats(0, 1, width=32)))
    xy[is_unseen] = np.nan
    return np.concatenate([xy, confidence], axis=1)[None]


@unhurried
@given(
    pose=poses(),
    scale=st.floats(0.1, 100),
    shift=st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)),
    name=st.sampled_from(INVARIANT),
)
def test_place_and_scale_change_no_feature(pose, scale, shift, name):
    moved = pose.copy()
    moved[..., :2] = (pose[..., :2] + np.float32(shift)) * np.float32(scale)

    got, expected = FEATURES[name].measure(moved), FEATURES[name].measure(pose)

    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@unhurried
@given(pose=poses(), name=st.sampled_from(sorted(FEATURES)))
def test_a_feature_set_has_its_size_and_no_feature_is_infinite(pose, name):
    features = FEATURES[name]

    got = features.measure(pose)

    assert got.shape == (1, features.size)
    assert got.dtype == np.float32
    assert not np.isinf(got).any()


@unhurried
@given(pose=poses(), joint=st.integers(0, 6), name=st.sampled_from(INVARIANT))
def test_where_a_joint_was_does_not_show_once_it_is_not_seen(pose, joint, name):
    other = pose.copy()
    pose[:, joint] = np.nan, np.nan, 0.1
    other[:, joint] = np.nan, np.nan, 0.9

    np.testing.assert_array_equal(FEATURES[name].measure(pose), FEATURES[name].measure(other))


@unhurried
@given(pose=poses())
def test_a_pose_is_measurable_exactly_if_it_has_distances_between_seen_joints(pose):
    assert is_measurable(pose).tolist() == [bool(np.isfinite(distances(pose)).any())]


@unhurried
@given(pose=poses(), name=st.sampled_from(sorted(FEATURES)))
def test_a_mirror_image_of_a_mirror_image_has_the_same_features_to_the_last_bit(pose, name):
    measure = FEATURES[name].measure

    assert measure(mirror(mirror(pose))).tobytes() == measure(pose).tobytes()


def test_xy_is_what_the_crop_says():
    joints_J3 = np.concatenate([HANGING, np.ones((7, 1), np.float32)], axis=1)

    assert FEATURES["xy"].measure(joints_J3[None])[0].tolist() == HANGING.ravel().tolist()


def test_a_graph_has_distances_directions_confidences_and_what_is_seen():
    joints_J3 = np.concatenate([HANGING, np.full((7, 1), 0.5, np.float32)], axis=1)
    joints_J3[R_WRIST, :2] = np.nan

    got = graph(joints_J3[None])[0]

    np.testing.assert_array_equal(got[:21], distances(joints_J3[None])[0])
    np.testing.assert_allclose(
        got[21:33].reshape(6, 2),
        [
            (0, -1),  # left forearm, from the wrist up to the elbow
            (-1 / np.sqrt(10), -3 / np.sqrt(10)),
            (-0.6, -0.8),  # to the head: 3-4-5 triangle
            (-0.6, 0.8),
            (-1 / np.sqrt(10), 3 / np.sqrt(10)),
            (np.nan, np.nan),
        ],
        atol=1e-6,
    )
    assert got[33:40].tolist() == [0.5] * 6 + [0]
    assert got[40:].tolist() == [1] * 6 + [0]


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


def test_normalising_keeps_confidences():
    joints_J3 = np.concatenate([HANGING, np.full((7, 1), 0.5, np.float32)], axis=1)

    assert normalise(joints_J3[None])[0, :, 2].tolist() == [0.5] * 7


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
