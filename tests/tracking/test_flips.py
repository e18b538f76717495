import numpy as np
import pytest

from poseact.skeleton import HEAD, L_WRIST, MIRROR, NUM_JOINTS, R_WRIST
from poseact.tracking.flips import repair_flips

FPS = 25
SEEN_FROM_FRONT = np.array(
    [(90, 50), (90, 35), (75, 20), (50, 5), (25, 20), (10, 35), (10, 50)], float
)


def person(num_frames, flipped=(), speed=40.0, noise=1.0):
    """Somebody who walks by, facing us; left and right are mixed up in some frames."""
    rng = np.random.default_rng(0)
    pts_s = np.arange(num_frames) / FPS
    joints = np.empty((num_frames, NUM_JOINTS, 3), np.float32)
    joints[..., :2] = SEEN_FROM_FRONT + rng.normal(0, noise, (num_frames, NUM_JOINTS, 2))
    joints[..., 0] += speed * pts_s[:, None]
    joints[..., 2] = np.linspace(0.3, 0.9, NUM_JOINTS)
    rows = list(flipped)
    right = joints.copy()
    joints[rows] = joints[rows][:, MIRROR]
    return joints, right, pts_s


def repair(joints, pts_s, track=None):
    return repair_flips(joints, pts_s, np.zeros(len(joints), np.int32) if track is None else track)


@pytest.mark.parametrize(
    "flipped",
    [
        pytest.param([], id="nothing to repair"),
        pytest.param([20], id="one frame"),
        pytest.param([10, 11, 12, 30], id="a few"),
        pytest.param(range(20, 30), id="ten in a row"),
        pytest.param([10, 12, 14, 16], id="every other"),
        pytest.param([0], id="the first"),
        pytest.param([47, 48, 49], id="the last"),
    ],
)
def test_sides_mixed_up_for_a_moment_are_put_right(flipped):
    joints, right, pts_s = person(50, flipped)

    np.testing.assert_array_equal(repair(joints, pts_s), right)


def test_confidences_go_with_their_joints():
    joints, right, pts_s = person(30, [15])

    assert joints[15, L_WRIST, 2] == np.float32(0.9)
    assert repair(joints, pts_s)[15, L_WRIST, 2] == right[15, L_WRIST, 2] == np.float32(0.3)


def test_a_turn_that_lasts_stays():
    joints, _, pts_s = person(80, range(30, 80))

    np.testing.assert_array_equal(repair(joints, pts_s), joints)


def test_a_turn_back_after_a_second_stays_too():
    joints, _, pts_s = person(80, range(30, 55))

    np.testing.assert_array_equal(repair(joints, pts_s), joints)


def test_how_long_a_moment_is_goes_by_time_and_not_by_frames():
    joints, right, pts_s = person(50, range(20, 30))

    # at 5 frames a second ten of them take two seconds
    np.testing.assert_array_equal(repair(joints, 5 * pts_s), joints)
    np.testing.assert_array_equal(repair(joints, pts_s / 5), right)


def test_hands_that_cross_are_not_a_flip():
    joints, _, pts_s = person(50)
    joints[25, [L_WRIST, R_WRIST], :2] = joints[25, [R_WRIST, L_WRIST], :2]

    np.testing.assert_array_equal(repair(joints, pts_s), joints)


def test_of_somebody_seen_from_the_side_noise_alone_can_be_exchanged():
    # All joints on a line: which is left and which is right is in the noise, and may stay there.
    joints, _, pts_s = person(50, noise=0)
    joints[..., 0] = 50
    joints[..., :2] += np.random.default_rng(0).normal(0, 0.5, (50, NUM_JOINTS, 2))

    np.testing.assert_allclose(repair(joints, pts_s)[..., :2], joints[..., :2], atol=4)


def test_joints_not_seen_stay_so_and_the_others_tell():
    joints, right, pts_s = person(50, [25])
    for array in (joints, right):
        array[:, HEAD, :2] = np.nan
        array[10:30, [L_WRIST, R_WRIST], :2] = np.nan

    np.testing.assert_array_equal(repair(joints, pts_s), right)


def test_frames_in_which_nothing_is_seen_do_no_harm():
    joints, _, pts_s = person(50)
    joints[20:25, :, :2] = np.nan

    np.testing.assert_array_equal(repair(joints, pts_s), joints)


def test_each_track_is_repaired_alone_whatever_the_order_of_rows():
    joints, right, pts_s = person(50, [25])
    back = joints[:, MIRROR]  # somebody else, seen from behind in the same frames
    both = np.concatenate([joints, back])
    expected = np.concatenate([right, right[:, MIRROR]])
    track = np.repeat([3, 1], 50)
    mixed = np.random.default_rng(0).permutation(100)

    got = repair(both[mixed], np.tile(pts_s, 2)[mixed], track[mixed])

    np.testing.assert_array_equal(got, expected[mixed])


@pytest.mark.parametrize("num_frames", [0, 1])
def test_too_few_frames_to_tell(num_frames):
    joints, _, pts_s = person(num_frames)

    np.testing.assert_array_equal(repair(joints, pts_s), joints)
