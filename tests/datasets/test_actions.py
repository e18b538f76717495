import numpy as np
import pytest

from poseact.datasets.actions import (
    ACTIONS,
    HELLO,
    NAMASTE,
    OTHER,
    TEST_PICTURES,
    ActionPoses,
    act_out,
    read_action_table,
    read_flic_bodies,
    with_confidence,
)
from poseact.datasets.arms import HARD_NEGATIVES, draw_hard_negative, draw_hello, draw_namaste
from poseact.datasets.gestures import CLEAR, DOUBTFUL, is_neutral, level, shows_hello, shows_namaste
from poseact.errors import InputError
from poseact.models.features import distances, mirror, raised_hand

HEADER = "url," + ",".join(f"j{i}{axis}" for i in range(1, 8) for axis in "xy") + ",label\n"
ROW = "a.jpg,4,6,4,3,3,0,0,-4,-3,0,-4,3,-4,6,Hello\n"
HANGING = np.float32([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]]) / 10


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def bodies(count=200):
    """People who let their arms hang, a little different each, every other one seen from behind."""
    noise = np.random.default_rng(1).normal(scale=0.01, size=(count, 7, 2))
    joints_NJ2 = (HANGING + noise).astype(np.float32)
    joints_NJ2[::2, :, 0] *= -1
    return ActionPoses(
        joints_NJ3=with_confidence(level(joints_NJ2)),
        labels_N=np.full(count, OTHER),
        groups_N=np.array([f"film{i % 4}" for i in range(count)]),
    )


def write_table(folder, text):
    (folder / "action_joints.csv").write_text(text)
    return folder


def test_a_table_is_read_with_labels_in_any_case_and_joints_normalised(tmp_path):
    poses = read_action_table(write_table(tmp_path, HEADER + ROW + ROW.replace("Hello", "OTHER")))

    assert poses.labels_N.tolist() == [HELLO, OTHER]
    assert poses.groups_N.tolist() == ["a.jpg", "a.jpg"]
    np.testing.assert_allclose(poses.joints_NJ3[0, :, :2], HANGING, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", r"csv:1: has no column 'url'", id="empty file"),
        pytest.param(HEADER.replace("j3y,", "") + ROW, r"csv:1: .*'j3y'", id="missing column"),
        pytest.param(HEADER, "no pictures", id="no rows"),
        pytest.param(HEADER + ROW + ROW.replace("Hello", "Bow"), r"csv:3: .*'bow'", id="label"),
        pytest.param(HEADER + ROW.replace(",6,4,", ",six,4,"), r"csv:2: j1y .*'six'", id="word"),
        pytest.param(HEADER + ROW.replace(",6,4,", ",nan,4,"), "csv:2: all joints", id="nan"),
        pytest.param(HEADER + "a.jpg,1,2\n", "csv:2: all joints", id="short row"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_action_table(write_table(tmp_path, text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_action_table(tmp_path)


def test_levelled_bodies_keep_their_distances_and_face():
    turned = bodies(20).joints_NJ3[..., :2] @ np.float32([[0.8, 0.6], [-0.6, 0.8]])

    got = level(turned)

    np.testing.assert_allclose(got, bodies(20).joints_NJ3[..., :2], atol=1e-5)
    np.testing.assert_allclose(distances(got), distances(turned), atol=1e-5)


@pytest.mark.parametrize("hand", ["left", "right"])
def test_hello_raises_one_hand_and_leaves_head_and_shoulders(rng, hand):
    people = bodies()

    waving = draw_hello(people.joints_NJ3[..., :2], rng, hand)

    assert shows_hello(waving, CLEAR).all()
    assert set(raised_hand(waving)) == {hand}
    np.testing.assert_array_equal(waving[:, 2:5], people.joints_NJ3[:, 2:5, :2])
    assert np.ptp(waving[:, 0 if hand == "left" else 6, 0]) > 1


def test_hello_leaves_some_other_wrists_out_of_view(rng):
    waving = draw_hello(bodies().joints_NJ3[..., :2], rng, "right")

    assert 0.02 < np.isnan(waving[:, 0, 0]).mean() < 0.3
    assert np.isfinite(waving[:, 6]).all()


def test_namaste_joins_the_palms_with_elbows_on_their_own_side(rng):
    people = bodies()

    joined = draw_namaste(people.joints_NJ3[..., :2], rng)

    assert shows_namaste(joined, CLEAR).all()
    is_front = people.joints_NJ3[:, 2, 0] > 0
    assert (joined[is_front, 1, 0] > joined[is_front, 5, 0]).all()
    assert (joined[~is_front, 1, 0] < joined[~is_front, 5, 0]).all()


@pytest.mark.parametrize("kind", HARD_NEGATIVES)
def test_a_hard_negative_is_neither_and_not_the_pose_it_started_from(rng, kind):
    people = bodies()

    poses = draw_hard_negative(people.joints_NJ3[..., :2], rng, kind)

    assert not shows_hello(poses, DOUBTFUL).any()
    assert not shows_namaste(poses, DOUBTFUL).any()
    assert (poses != people.joints_NJ3[..., :2]).any(axis=(1, 2)).mean() > 0.6


def test_both_hands_up_is_what_it_says(rng):
    poses = draw_hard_negative(bodies().joints_NJ3[..., :2], rng, "both hands up")

    assert (raised_hand(poses) == "both").all()


def test_a_body_that_cannot_wave_with_one_hand_only_is_refused(rng):
    left_up = draw_hello(bodies(4).joints_NJ3[..., :2], rng, "left")

    with pytest.raises(ValueError, match="neutral"):
        draw_hello(left_up, rng, "right")


def test_neutral_means_neither_hand_up_nor_both_nor_joined(rng):
    people = bodies().joints_NJ3[..., :2]

    assert is_neutral(people).all()
    assert not is_neutral(draw_hello(people, rng, "left")).any()
    assert not is_neutral(draw_namaste(people, rng)).any()
    assert is_neutral(mirror(people)).all()


def test_everybody_acts_once_per_hand_and_stays_in_the_film():
    people = bodies()

    poses = act_out(people, np.random.default_rng(5), hands=("left", "right"))
    again = act_out(people, np.random.default_rng(5), hands=("left", "right"))

    assert poses.count_classes() == {"namaste": 400, "hello": 400, "other": 600}
    assert (raised_hand(poses.joints_NJ3[poses.labels_N == HELLO]) == "left").sum() == 200
    for label in (NAMASTE, HELLO, OTHER):
        films, counts = np.unique(poses.groups_N[poses.labels_N == label], return_counts=True)
        assert films.tolist() == ["film0", "film1", "film2", "film3"]
        assert len(set(counts)) == 1
    np.testing.assert_array_equal(poses.joints_NJ3, again.joints_NJ3)


def test_the_seeds_pictures_are_eleven_of_either(data_dir):
    poses = read_action_table(data_dir / "actions" / "namaste_hello")

    assert poses.count_classes() == {"namaste": 11, "hello": 11, "other": 0}
    assert set(TEST_PICTURES) <= set(poses.groups_N)
    is_hello = poses.labels_N == HELLO
    hands = raised_hand(poses.joints_NJ3[is_hello])
    assert hands[poses.groups_N[is_hello] == "hello_test.jpg"].tolist() == ["left"]
    assert (hands == "right").sum() == 10


def test_nearly_all_people_of_flic_are_neutral(data_dir):
    people = read_flic_bodies(data_dir / "flic")

    assert 4700 < len(people) < 4900
    assert len(set(people.groups_N)) == 30
    assert people.count_classes() == {"namaste": 0, "hello": 0, "other": len(people)}
    assert ACTIONS[OTHER] == "other"


def test_joints_that_are_not_seen_have_no_confidence():
    joints_J2 = HANGING.copy()
    joints_J2[6] = np.nan

    got = with_confidence(joints_J2[None])

    np.testing.assert_array_equal(got[0, :, :2], joints_J2)
    assert got[0, :, 2].tolist() == [1] * 6 + [0]
