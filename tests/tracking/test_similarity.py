import math

import numpy as np
import pytest

from poseact.tracking.similarity import likeness

PERSON = (0.0, 0.0, 100.0, 100.0)
HALF_AWAY = (50.0, 0.0, 150.0, 100.0)  # shares a third with it
FAR = (900.0, 900.0, 1000.0, 1000.0)
SURE, UNSEEN = (50.0, 50.0, 1.0), (0.0, 0.0, 0.0)


def alike(box, joints, other_box, other_joints):
    got = likeness(
        np.array([box]),
        np.array([joints], float),
        np.array([other_box]),
        np.array([other_joints], float),
    )
    assert got.shape == (1, 1)
    return got[0, 0]


@pytest.mark.parametrize(
    ("other_box", "joints", "other_joints", "expected"),
    [
        pytest.param(PERSON, [SURE], [SURE], 1, id="the same"),
        pytest.param(FAR, [SURE], [(950, 950, 1)], 0, id="somebody else"),
        pytest.param(PERSON, [UNSEEN], [UNSEEN], 1, id="without joints the box speaks"),
        pytest.param(HALF_AWAY, [UNSEEN], [SURE], 1 / 3, id="also if only one has them"),
        pytest.param(HALF_AWAY, [SURE], [SURE], (1 / 3 + 1) / 2, id="joints count half"),
        pytest.param(
            PERSON, [SURE], [(50, 70, 1)], (1 + math.exp(-1 / 2)) / 2, id="a fifth of the size"
        ),
        pytest.param(
            # half sure: the other half goes by the box
            HALF_AWAY,
            [SURE],
            [(50, 50, 0.25)],
            (1 / 3 + (1 / 3 + 1) / 2) / 2,
            id="by confidence",
        ),
        pytest.param(
            HALF_AWAY,
            [SURE, UNSEEN],
            [SURE, SURE],
            (1 / 3 + (1 + 1 / 3) / 2) / 2,
            id="mean of the joints",
        ),
    ],
)
def test_likeness(other_box, joints, other_joints, expected):
    assert alike(PERSON, joints, other_box, other_joints) == pytest.approx(expected, abs=1e-6)
    assert alike(other_box, other_joints, PERSON, joints) == pytest.approx(expected, abs=1e-6)


def test_each_with_each():
    boxes = np.array([PERSON, HALF_AWAY, FAR])
    joints = np.zeros((3, 7, 3))

    got = likeness(boxes, joints, boxes[:2], joints[:2])

    np.testing.assert_allclose(got, [(1, 1 / 3), (1 / 3, 1), (0, 0)], atol=1e-6)


def test_nobody_is_like_nobody():
    nobody = np.zeros((0, 4)), np.zeros((0, 7, 3))

    assert likeness(*nobody, np.array([PERSON]), np.zeros((1, 7, 3))).shape == (0, 1)


def test_far_away_joints_far_people_and_boxes_without_area_are_no_trouble():
    point = (5.0, 5.0, 5.0, 5.0)

    assert alike(point, [(5, 5, 1)], point, [(1e6, 5, 1)]) == 0
