import numpy as np
import pytest

from poseact.datasets.pose_crops import in_any_crops, in_own_crops

# Shoulders 6 apart and the head 4 above their middle: the body scale is 10, a crop 30 wide.
XY = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
POSE = np.concatenate([XY, np.full((7, 1), 0.8, np.float32)], axis=1)


def test_in_crops_of_their_own_people_are_equally_large_and_in_the_middle():
    far = POSE.copy()
    far[:, :2] = POSE[:, :2] / 7 + 300

    got = in_own_crops(np.stack([POSE, far]))

    np.testing.assert_allclose(got[0, :, :2], XY / 30, atol=1e-6)
    np.testing.assert_allclose(got[1], got[0], atol=1e-4)


def test_anywhere_in_a_crop_means_half_to_twice_as_large_and_up_to_half_a_side_off():
    poses = np.repeat(POSE[None], 2000, axis=0)

    got = in_any_crops(poses, np.random.default_rng(0))

    zoom = (got[:, 2, 0] - got[:, 4, 0]) / (6 / 30)
    middle = (got[:, 2, :2] + got[:, 4, :2]) / 2
    assert (zoom.min(), zoom.max()) == (pytest.approx(0.5, abs=0.01), pytest.approx(2, abs=0.01))
    assert np.mean(zoom < 1) == pytest.approx(0.5, abs=0.05)
    assert (middle.min(), middle.max()) == (
        pytest.approx(-0.5, abs=0.01),
        pytest.approx(0.5, abs=0.01),
    )
    np.testing.assert_array_equal(got[..., 2], poses[..., 2])
