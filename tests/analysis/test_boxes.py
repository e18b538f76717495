import numpy as np
import pytest

from poseact.analysis.boxes import Boxes, believable, carry, frames_to_search
from poseact.models.detection import Detections


def people(*boxes, score=0.9):
    return Detections(
        boxes_N4=np.array(boxes, np.float32).reshape(-1, 4),
        scores_N=np.full(len(boxes), score, np.float32),
    )


@pytest.mark.parametrize(
    ("runs", "every_s", "expected"),
    [
        pytest.param([0] * 8, 0.3, [0, 3, 6, 7], id="first, every third, last"),
        pytest.param([0] * 7, 0.3, [0, 3, 6], id="the last one is due anyway"),
        pytest.param([0, 0, 0, 1, 1, 2], 0.5, [0, 2, 3, 4, 5], id="each run for itself"),
        pytest.param([0] * 4, 0.0, [0, 1, 2, 3], id="every frame"),
        pytest.param([], 0.3, [], id="no frames"),
    ],
)
def test_people_are_looked_for_in_some_frames_of_each_run(runs, every_s, expected):
    rows = frames_to_search(np.array(runs, int), np.arange(len(runs)) / 10, every_s)

    assert rows == expected


def test_a_run_is_searched_alike_whatever_comes_before_it():
    pts_s = np.array([0.0, 0.1, 0.4, 1.0, 1.1, 1.3, 1.4, 1.45])
    run = np.array([0, 0, 0, 1, 1, 1, 1, 1])

    both = frames_to_search(run, pts_s, 0.2)

    assert both == [0, 2, 3, 5, 7]
    assert [row - 3 for row in both if row >= 3] == frames_to_search(run[3:], pts_s[3:], 0.2)


def test_unsure_finds_stay_unless_a_sure_one_is_there_too():
    found = Detections(
        boxes_N4=np.array(
            [
                [0, 0, 40, 80],
                [20, 0, 60, 80],  # half of the first: IoU 1/3
                [36, 0, 76, 80],  # a tenth of the first: IoU 1/19
                [200, 0, 240, 80],
                [300, 0, 340, 80],
            ],
            np.float32,
        ),
        scores_N=np.array([0.6, 0.45, 0.44, 0.43, 0.41], np.float32),
    )

    believed = believable(found, 0.6)

    assert believed.boxes_N4[:, 0].tolist() == [0, 36, 200]


def test_two_sure_finds_stay_however_close():
    found = people((0, 0, 40, 80), (10, 0, 50, 80))

    assert len(believable(found, 0.5).boxes_N4) == 2


@pytest.mark.parametrize(
    ("after", "passed_s", "is_same"),
    [
        pytest.param((60, 0, 100, 80), 0.4, True, id="runs"),
        pytest.param((60, 0, 100, 80), 0.2, False, id="too fast"),
        pytest.param((0, 45, 40, 80), 0.4, False, id="less than half as high"),
    ],
)
def test_who_may_be_the_same_person(after, passed_s, is_same):
    pts_s = np.array([0.0, 0.25, 1.0]) * passed_s

    boxes = carry([0, 2], [people((0, 0, 40, 80)), people(after)], np.zeros(3, int), pts_s)

    expected_x = after[0] / 4 if is_same else 0
    assert boxes.boxes_K4[1, 0] == pytest.approx(expected_x)
    assert boxes.boxes_K4[1, 1] == pytest.approx(0)


def test_people_who_pass_each_other_do_not_turn_round():
    # one stands at 50, one walks past from 32 to 68
    before = people((50, 0, 90, 80), (32, 0, 72, 80))
    after = people((50, 0, 90, 80), (68, 0, 108, 80))

    boxes = carry([0, 2], [before, after], np.zeros(3, int), np.array([0.0, 0.1, 0.2]))

    assert boxes.boxes_K4[boxes.frame_K == 1, 0].tolist() == [50, 50]


def test_a_person_moves_evenly_in_time_between_two_finds():
    pts_s = np.array([0.0, 0.1, 0.4])

    boxes = carry(
        [0, 2], [people((0, 0, 40, 80)), people((20, 0, 60, 80))], np.zeros(3, int), pts_s
    )

    assert boxes.frame_K.tolist() == [0, 1, 2]
    np.testing.assert_allclose(boxes.boxes_K4[1], [5, 0, 45, 80])


def test_one_who_is_found_once_stays_until_halfway():
    pts_s = np.array([0.0, 0.1, 0.22, 0.3, 0.4])
    found = [people((0, 0, 40, 80), score=0.7), people((200, 0, 240, 80), score=0.8)]

    boxes = carry([0, 4], found, np.zeros(5, int), pts_s)

    assert boxes.frame_K.tolist() == [0, 1, 2, 3, 4]
    assert boxes.boxes_K4[:, 0].tolist() == [0, 0, 200, 200, 200]
    np.testing.assert_allclose(boxes.scores_K, [0.7, 0.7, 0.8, 0.8, 0.8])


def test_nobody_is_carried_from_one_run_to_the_next():
    found = [people((0, 0, 40, 80)), people(), people(), people((0, 0, 40, 80))]

    pts_s = np.array([0.0, 0.1, 0.2, 0.35, 0.4])

    boxes = carry([0, 1, 2, 4], found, np.array([0, 0, 1, 1, 1]), pts_s)

    assert boxes.frame_K.tolist() == [0, 3, 4]


def test_people_who_cross_keep_their_own_way():
    before = people((0, 0, 40, 80), (30, 0, 70, 80))
    after = people((12, 0, 52, 80), (18, 0, 58, 80))

    boxes = carry([0, 2], [before, after], np.zeros(3, int), np.arange(3) / 10)

    middle = boxes.boxes_K4[boxes.frame_K == 1]
    np.testing.assert_allclose(middle[:, 0], [6, 24])


def test_a_whole_frame_is_one_person_whom_nobody_looked_for():
    boxes = Boxes.whole_frames(2, 64, 48)

    assert boxes.boxes_K4.tolist() == [[0, 0, 64, 48]] * 2
    assert np.isnan(boxes.scores_K).all()
