import numpy as np
import pytest

from poseact.tracking.link import link_people


def box(x, y=0.0, size=10.0):
    return (x, y, x + size, y + size)


def link(people, **settings):
    """Link people given as (second, box), one frame per second."""
    pts_s = np.array([second for second, _ in people], float)
    boxes = np.array([corners for _, corners in people], np.float32).reshape(-1, 4)
    return link_people(pts_s.astype(np.int64), pts_s, boxes, **settings).tolist()


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([(0, box(0)), (1, box(2)), (2, box(4))], [0, 0, 0], id="one walks"),
        pytest.param([(0, box(0)), (1, box(50))], [0, 1], id="a jump is another person"),
        pytest.param(
            [(0, box(50)), (0, box(0)), (1, box(0)), (1, box(50))],
            [1, 0, 0, 1],
            id="numbered from left to right, whatever the order of rows",
        ),
        pytest.param(
            [(0, box(0, 50)), (0, box(0, 5))], [1, 0], id="the upper one first where x is equal"
        ),
        pytest.param([(0, box(0)), (1, box(2)), (1, box(50))], [0, 0, 1], id="one joins"),
        pytest.param(
            [(0, box(0)), (0, box(50)), (1, box(50)), (2, box(90))],
            [0, 1, 1, 2],
            id="a number is not used twice",
        ),
        pytest.param([(0, (5, 5, 5, 5)), (1, (5, 5, 5, 5))], [0, 1], id="no area, no overlap"),
    ],
)
def test_tracks(people, expected):
    assert link(people) == expected


def test_the_total_overlap_decides_and_not_the_best_pair():
    # Track 0 overlaps the person at 2.5 best (7.5 / 12.5 = 0.6), but then nobody is left for
    # track 1. The other way, both keep 7 / 13 = 0.54, 1.08 in sum.
    people = [(0, box(0)), (0, box(5.5)), (1, box(-3)), (1, box(2.5))]

    assert link(people) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param([0, 2], [0, 0], id="back in time"),
        pytest.param([0, 3], [0, 1], id="gone for too long"),
        pytest.param([0, 2, 4], [0, 0, 0], id="each gap counts alone"),
    ],
)
def test_a_track_closes_after_the_gap(seconds, expected):
    assert link([(second, box(0)) for second in seconds], max_gap_s=2) == expected


def test_a_gap_is_measured_in_time_and_not_in_frames():
    frame_index = np.array([0, 1])
    boxes = np.array([box(0), box(0)], np.float32)

    assert link_people(frame_index, np.array([0.0, 1.5]), boxes).tolist() == [0, 1]
    assert link_people(frame_index * 500, np.array([0.0, 0.5]), boxes).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        # of two squares of side 9 shifted by 3, 6 of 12 columns are shared
        pytest.param(3.0, [0, 0], id="exactly the least overlap"),
        pytest.param(3.1, [0, 1], id="a little less"),
    ],
)
def test_the_least_overlap(shift, expected):
    assert link([(0, box(0, size=9)), (1, box(shift, size=9))], min_iou=0.5) == expected


def crowd(num_frames, num_people, rng):
    """People who walk slowly, far apart, each missed now and then."""
    frame = np.repeat(np.arange(num_frames), num_people)
    person = np.tile(np.arange(num_people), num_frames)
    x = person * 100 + np.cumsum(rng.normal(0, 0.5, (num_frames, num_people)), axis=0).ravel()
    boxes = np.stack([x, x * 0, x + 50, x * 0 + 100], axis=1).astype(np.float32)
    seen = rng.random(len(frame)) < 0.9
    seen[:num_people] = True
    return frame[seen], boxes[seen], person[seen]


def test_people_far_apart_keep_their_numbers():
    frame, boxes, person = crowd(500, 4, np.random.default_rng(0))

    np.testing.assert_array_equal(link_people(frame, frame / 25, boxes), person)


def test_the_order_of_rows_makes_no_difference():
    rng = np.random.default_rng(1)
    frame, boxes, _ = crowd(100, 5, rng)
    boxes[:, [0, 2]] *= 0.3  # so close that they overlap
    mixed = rng.permutation(len(frame))

    straight = link_people(frame, frame / 25, boxes)

    got = link_people(frame[mixed], frame[mixed] / 25, boxes[mixed])
    np.testing.assert_array_equal(got, straight[mixed])
    assert got.dtype == np.int32


def test_the_boxes_given_are_left_alone():
    boxes = np.array([box(0), box(1)], np.float32)
    before = boxes.copy()

    link_people(np.array([0, 1]), np.array([0.0, 0.1]), boxes)

    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(
    ("pts_s", "boxes"),
    [
        pytest.param(np.zeros(2), np.zeros((1, 4)), id="one time too many"),
        pytest.param(np.zeros(1), np.zeros((1, 5)), id="five corners"),
        pytest.param(np.zeros(1), np.full((1, 4), np.nan), id="nobody"),
    ],
)
def test_inputs_that_disagree_are_refused(pts_s, boxes):
    with pytest.raises(ValueError, match="boxes"):
        link_people(np.zeros(1, np.int64), pts_s, boxes.astype(np.float32))
