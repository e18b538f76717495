import itertools

import numpy as np
import pytest

from poseact.tracking.tracklets import find_tracklets

FPS = 25


def box(x):
    return (x, 0.0, x + 30.0, 90.0)


def tracklets(people):
    """Find the tracklets of people given as (second, x) in order of time."""
    pts_s = np.array([second for second, _ in people], float)
    boxes = np.array([box(x) for _, x in people], float).reshape(-1, 4)
    borders = [0, *(np.flatnonzero(np.diff(pts_s)) + 1), len(pts_s)] if people else [0]
    frames = [slice(a, b) for a, b in itertools.pairwise(borders)]
    return find_tracklets(frames, pts_s, boxes, np.zeros((len(boxes), 7, 3))).tolist()


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([(3.0, 0)], [0], id="one row"),
        pytest.param([(0, 0), (0, 90), (0.1, 1), (0.1, 89)], [0, 1, 0, 1], id="two people"),
        pytest.param([(0, 0), (0.1, 90), (0.2, 0)], [0, 1, 0], id="missed once"),
        pytest.param([(0, 0), (1.0, 0)], [0, 0], id="missed for a second"),
        pytest.param([(0, 0), (1.04, 0)], [0, 1], id="and for longer"),
        # overlap 20 / 40 = 0.5: too little to be sure, enough to be followed
        pytest.param([(0, 0), (0.1, 10)], [0, 1], id="half the overlap is a doubt"),
        pytest.param([(0, 0), (0.1, 7)], [0, 0], id="23 / 37 = 0.62 is none"),
        pytest.param(
            [(0, 0), (0.1, 90), (0.1, 180), (0.2, 0), (0.2, 90), (0.2, 180)],
            [0, 1, 2, 0, 1, 2],
            id="numbered by first row",
        ),
    ],
)
def test_tracklets(people, expected):
    assert tracklets(people) == expected


def test_somebody_who_stands_in_front_of_another_is_cut_where_that_other_is_lost():
    # One stands at 0. The other goes by at 50 px/s, at 0 in second 2, and has no box within 0.3 s
    # of it. Within 0.2 s they would be 10 px apart or less and share 20 of 40 px, or more; as who
    # is lost is expected to slow down, it may take longer until they do not.
    times = np.arange(4 * FPS) / FPS
    people = [(t, 0) for t in times] + [(t, 50 * (2 - t)) for t in times if abs(t - 2) > 0.3]
    people.sort()
    got = tracklets(people)

    standing = [number for number, (_, x) in zip(got, people, strict=True) if x == 0]
    numbers, first = np.unique(standing, return_index=True)
    assert len(numbers) == 3
    assert first[0] == 0
    assert 1.76 <= times[first[1]] <= 1.88
    assert 2.2 <= times[first[2]] <= 2.6


def test_a_follower_expects_people_where_their_speed_takes_them():
    # 75 px/s, not found for 0.36 s: 27 px of the 30 px that the box is wide.
    times = np.array([t for t in np.arange(2 * FPS) / FPS if not 1 < t < 1.36])

    assert tracklets([(t, 75 * t) for t in times]) == [0] * len(times)
