import numpy as np
import pytest

from poseact.models.looks import CROPS_PER_CALL, LOOSE, SECOND_MARGIN, closer, look, look_twice

SIDE_PX = 64


class Follower:
    """Sees the seven joints in a row across a white thing, 20 picture pixels wide."""

    input_px = SIDE_PX

    def __init__(self):
        self.batches = []

    def predict(self, crops_BHWC):
        self.batches.append(len(crops_BHWC))
        return np.stack([self._joints(crop) for crop in crops_BHWC])

    def _joints(self, crop_HWC):
        rows, columns = np.nonzero(crop_HWC[..., 0] > 200)
        joints_J3 = np.full((7, 3), 5, np.float32)
        if len(rows):
            joints_J3[:, 0] = np.linspace(columns.min(), columns.max() + 1, 7)
            joints_J3[:, 1] = rows.mean() + 0.5
        share = len(rows) / crop_HWC[..., 0].size
        joints_J3[:, 2] = 0.5 * (share > 0) + 0.5 * share  # surer where it is larger
        return joints_J3


@pytest.fixture
def picture():
    rgb_HWC = np.zeros((100, 200, 3), np.uint8)
    rgb_HWC[40:60, 140:160] = 255
    return rgb_HWC


def pose(left, right, confidence=0.9):
    joints_J3 = np.full((7, 3), confidence, np.float32)
    joints_J3[:, 0] = np.linspace(left, right, 7)
    joints_J3[:, 1] = 50
    return joints_J3


def test_joints_are_in_the_pixels_of_the_picture(picture):
    (joints_J3,) = look(Follower(), [picture], [(100, 50, 200)])

    assert joints_J3[0, 0] == pytest.approx(140, abs=2)
    assert joints_J3[-1, 0] == pytest.approx(160, abs=2)
    assert joints_J3[:, 1] == pytest.approx(50, abs=2)


def test_every_call_has_the_same_number_of_crops(picture):
    model = Follower()

    found = look(model, [picture] * 11, [(100, 50, 200)] * 11)

    assert model.batches == [CROPS_PER_CALL] * 2
    assert found.shape == (11, 7, 3)
    assert look(model, [], []).shape == (0, 7, 3)


@pytest.mark.parametrize(
    ("joints", "expected"),
    [
        pytest.param(pose(40, 60), (50, 50, 20 * SECOND_MARGIN), id="loose"),
        pytest.param(pose(10, 11 + 100 * LOOSE), None, id="close enough"),
        pytest.param(pose(40, 60, confidence=0.1), None, id="nothing seen"),
        pytest.param(pose(50, 50), None, id="all in one place"),
    ],
)
def test_the_second_crop_is_around_the_joints(joints, expected):
    square = closer(joints, (50, 50, 100))

    assert square == (None if expected is None else pytest.approx(expected))


def test_of_two_looks_the_surer_one_counts(picture):
    model = Follower()
    once = look(model, [picture], [(100, 50, 200)])
    # in the second picture there is nothing, and so no second look
    twice = look_twice(model, [picture, np.zeros_like(picture)], [(100, 50, 200)] * 2)

    assert model.batches == [CROPS_PER_CALL] * 3
    assert once[0, 0, 2] == pytest.approx(0.505, abs=0.003)
    assert twice[0, 0, 2] > 0.6
    assert twice[0, :, 0] == pytest.approx(np.linspace(140, 160, 7), abs=0.6)
    assert twice[1, 0, 2] == 0
