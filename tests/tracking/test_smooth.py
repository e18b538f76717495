import numpy as np
import pytest

from poseact.skeleton import HEAD, NUM_JOINTS, R_WRIST
from poseact.tracking.smooth import CUTOFF_HZ, REACH_S, smooth_joints

BODY = np.array([(40, 100), (42, 70), (30, 36), (0, 10), (-30, 36), (-42, 70), (-40, 100)], float)
"""Somebody 200 px high."""

PERIOD_S = 1.0


def standing(num_frames, fps=25.0, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    joints = np.full((num_frames, NUM_JOINTS, 3), 0.8, np.float32)
    joints[..., :2] = BODY + rng.normal(0, noise, (num_frames, NUM_JOINTS, 2))
    return joints, np.arange(num_frames) / fps


def smooth(joints, pts_s):
    return smooth_joints(joints, pts_s, np.zeros(len(joints), np.int32))


@pytest.mark.parametrize("fps", [30, 25, 10])
def test_a_joint_at_rest_gets_calmer(fps):
    joints, pts_s = standing(300, fps, noise=1.0)  # half a percent of the height

    still = smooth(joints, pts_s)

    before, after = (array[..., :2].std(axis=0) for array in (joints, still))
    # at least 1.5 times at 10 frames a second, where there are fewer to average, and 2 at 25
    assert (before / after).min() > (1.5 if fps == 10 else 2.0)
    np.testing.assert_allclose(still[..., :2].mean(axis=(0)), BODY, atol=0.3)


def test_weights_fall_off_with_time_at_the_cutoff_of_rest():
    # One frame is 0.1 px off, too little for a speed; in the mean of a frame t seconds away it
    # has the weight exp(-t / tau) of the sum of all weights.
    joints, pts_s = standing(101)
    joints[50, HEAD, 0] += 0.1

    off = smooth(joints, pts_s)[:, HEAD, 0]

    tau_s = 1 / (2 * np.pi * CUTOFF_HZ)
    weight = np.exp(-np.abs(pts_s - pts_s[50]) / tau_s)
    weight[np.abs(pts_s - pts_s[50]) > REACH_S + 1e-9] = 0
    np.testing.assert_allclose(off[25:76], 0.1 * weight[25:76] / weight.sum(), atol=1e-5)


def waving(pts_s, noise=0.0):
    joints, _ = standing(len(pts_s), noise=noise)
    joints[:, R_WRIST, 0] += 40 * np.sin(2 * np.pi * pts_s / PERIOD_S)
    return joints


def test_a_moving_joint_does_not_lag_and_keeps_its_way():
    pts_s = np.arange(250) / 25

    wrist = smooth(waving(pts_s, noise=1.0), pts_s)[25:-25, R_WRIST, 0]

    inner = 2 * np.pi * pts_s[25:-25] / PERIOD_S
    a, b = (2 * (wrist * wave(inner)).mean() for wave in (np.sin, np.cos))
    assert np.hypot(a, b) > 0.9 * 40
    assert abs(np.arctan2(-b, a)) / (2 * np.pi) * PERIOD_S < 0.005  # seconds late


def test_a_walk_is_not_shifted():
    joints, pts_s = standing(100)
    joints[..., 0] += 100 * pts_s[:, None]

    inner = slice(15, -15)  # frames on both sides
    np.testing.assert_allclose(smooth(joints, pts_s)[inner], joints[inner], atol=0.05)


def test_the_future_counts_as_the_past_does():
    joints, pts_s = standing(60, noise=2.0)

    backward = smooth(joints[::-1], pts_s)[::-1]

    np.testing.assert_allclose(backward[..., 2], smooth(joints, pts_s)[..., 2])
    # the speed is of the step to the next frame, hence not to the digit
    np.testing.assert_allclose(backward, smooth(joints, pts_s), atol=0.5)


def test_near_and_far_people_are_treated_alike():
    joints, pts_s = standing(60, noise=2.0)
    far = joints.copy()
    far[..., :2] /= 4

    np.testing.assert_allclose(
        smooth(far, pts_s)[..., :2] * 4, smooth(joints, pts_s)[..., :2], rtol=1e-3, atol=1e-3
    )


def test_who_is_not_seen_stays_so_and_moves_nothing():
    joints, pts_s = standing(60, noise=2.0)
    joints[20:30, HEAD, :2] = np.nan
    is_seen = np.isfinite(joints).all(axis=2)

    got = smooth(joints, pts_s)

    np.testing.assert_array_equal(np.isfinite(got[..., :2]), is_seen[..., None].repeat(2, axis=2))
    np.testing.assert_array_equal(got[..., 2], joints[..., 2])
    # as much as if these frames of the head did not exist
    without = smooth(joints[is_seen[:, HEAD]], pts_s[is_seen[:, HEAD]])
    np.testing.assert_allclose(got[is_seen[:, HEAD], HEAD], without[:, HEAD], atol=0.2)
    # one number missing is a joint missing, whatever the other says
    joints[20:30, HEAD, 0] = 1e6
    np.testing.assert_array_equal(smooth(joints, pts_s), got)


def test_a_joint_that_is_hardly_seen_counts_little():
    joints, pts_s = standing(51)
    sure = joints.copy()
    for array, confidence in ((joints, 0.008), (sure, 0.8)):
        array[25, HEAD, 0] += 0.1
        array[25, HEAD, 2] = confidence

    little, much = (smooth(array, pts_s)[26, HEAD, 0] for array in (joints, sure))

    # confidences below 0.01 count as that: 80 times less than its neighbours have
    assert much > 0.005
    assert 0 < little < much / 40


def test_unequal_steps_count_by_time():
    # Frames at 0, 0.02 and 0.5 s: the first two pull at each other, the third at neither, much.
    joints, _ = standing(3)
    joints[:, HEAD, 0] += np.float32([0, 0.1, 0.1])
    pts_s = np.array([0, 0.02, 0.5])
    tau_s = 1 / (2 * np.pi * CUTOFF_HZ)
    weight = np.exp(-pts_s / tau_s)

    got = smooth(joints, pts_s)[0, HEAD, 0]

    assert got == pytest.approx(0.1 * weight[1:].sum() / weight.sum(), abs=1e-5)


def test_frames_half_a_second_apart_or_more_do_not_mix():
    joints, _ = standing(10, noise=3.0)

    np.testing.assert_array_equal(smooth(joints, 0.6 * np.arange(10)), joints)


def test_two_frames_at_the_same_time_are_no_trouble():
    joints, _ = standing(4, noise=1.0)

    assert np.isfinite(smooth(joints, np.array([0, 0.04, 0.04, 0.08]))).all()


def test_each_track_is_smoothed_alone_whatever_the_order_of_rows():
    one, pts_s = standing(40, noise=2.0)
    other = standing(40, noise=2.0, seed=1)[0] + np.float32([300, 0, 0])
    mixed = np.random.default_rng(0).permutation(80)
    expected = np.concatenate([smooth(one, pts_s), smooth(other, pts_s)])

    got = smooth_joints(
        np.concatenate([one, other])[mixed], np.tile(pts_s, 2)[mixed], np.repeat([7, 2], 40)[mixed]
    )

    np.testing.assert_array_equal(got, expected[mixed])
    assert got.dtype == np.float32


@pytest.mark.parametrize("num_frames", [0, 1])
def test_too_few_frames_to_smooth(num_frames):
    joints, pts_s = standing(num_frames, noise=1.0)

    np.testing.assert_array_equal(smooth(joints, pts_s), joints)
