import math

import numpy as np
import pytest

from poseact.evaluation.tracks import Tracks, measure_tracks

A, B = (0, 0, 10, 10), (100, 0, 110, 10)
"""Two places far from each other."""


def tracks(*rows):
    """Tracks of rows (frame, number, box)."""
    return Tracks(
        frame_index_N=np.array([frame for frame, _, _ in rows], np.int64),
        track_N=np.array([track for _, track, _ in rows], np.int32),
        boxes_N4=np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
    )


def at(box, numbers, first=0):
    """One place, and who is there in each frame; None for nobody."""
    return [(first + k, n, box) for k, n in enumerate(numbers) if n is not None]


TWO = tracks(*at(A, [0] * 4), *at(B, [1] * 4))


@pytest.mark.parametrize(
    ("found", "right", "switches", "fragments"),
    [
        pytest.param([*at(A, [7] * 4), *at(B, [9] * 4)], 8, [], 0, id="all right, numbers free"),
        pytest.param([], 0, [], 0, id="nobody found"),
        # track 7 stands for the first, 9 for nobody or the other way round
        pytest.param([*at(A, [7, 7, 9, 9])], 2, [2], 0, id="another number half-way"),
        pytest.param([*at(A, [7, 7, 7, 9])], 3, [3], 0, id="the longer one counts"),
        # whichever way 7 and 9 are given to the two, four boxes lie right
        pytest.param(
            [*at(A, [7, 7, 9, 9]), *at(B, [9, 9, 7, 7])], 4, [2, 2], 0, id="exchanged for good"
        ),
        pytest.param(
            [*at(A, [7, 9, 7, 7]), *at(B, [9, 7, 9, 9])], 6, [1, 1, 2, 2], 0, id="and back"
        ),
        pytest.param([*at(A, [7, None, None, 7])], 2, [], 1, id="lost and found again"),
        pytest.param([*at(A, [7, None, None, 9])], 1, [3], 1, id="as somebody else"),
        pytest.param([*at(A, [None, 7, 7, None])], 2, [], 0, id="late and lost for good"),
        # one number for both: it can stand for one of them only
        pytest.param([*at(A, [7, 7, None, None]), *at(B, [None, None, 7, 7])], 2, [], 0, id="one"),
        pytest.param(at((50, 50, 60, 60), [7] * 4), 0, [], 0, id="beside everybody"),
    ],
)
def test_two_people_for_four_frames(found, right, switches, fragments):
    got = measure_tracks(TWO, tracks(*found), duration_s=30)

    assert got.num_true == 2
    assert got.num_found == len({number for _, number, _ in found})
    assert got.id_recall == right / 8
    assert math.isnan(got.id_precision) if not found else got.id_precision == right / len(found)
    assert got.idf1 == 2 * right / (8 + len(found))
    assert got.switch_frames == tuple(switches)
    assert got.switches_per_minute == 2 * len(switches)
    assert got.fragments == fragments


def test_a_person_out_of_sight_is_not_a_fragment():
    # gone for two frames, and found whenever there
    true, found = tracks(*at(A, [0, None, None, 0])), tracks(*at(A, [7, None, None, 7]))

    got = measure_tracks(true, found, duration_s=1)

    assert (got.idf1, got.switch_frames, got.fragments) == (1, (), 0)


@pytest.mark.parametrize(
    ("shift", "idf1"),
    [
        # squares of side 9 shifted by 3 share 6 of 12 columns
        pytest.param(3, 1, id="half the union is enough"),
        pytest.param(3.1, 0, id="less is not"),
    ],
)
def test_the_least_overlap(shift, idf1):
    true = tracks((0, 0, (0, 0, 9, 9)))
    found = tracks((0, 0, (shift, 0, 9 + shift, 9)))

    assert measure_tracks(true, found, duration_s=1).idf1 == idf1


def test_a_match_holds_while_it_overlaps_though_another_overlaps_more():
    # Track 7 drifts to 8/12 of overlap while 9 comes in exactly on the person.
    true = tracks(*at(A, [0, 0]))
    found = tracks((0, 7, A), (1, 7, (2, 0, 12, 10)), (1, 9, A))

    assert measure_tracks(true, found, duration_s=1).switch_frames == ()


def test_whoever_had_a_number_long_ago_does_not_hold_it():
    # Track 7 goes from 0 to 1 while 0 is not found; in the last frame both lie under it. It is
    # still on 1, though 0 overlaps more.
    near = (2, 0, 12, 10)
    true = tracks((0, 0, A), (1, 0, B), (1, 1, A), (2, 0, A), (2, 1, near))
    found = tracks((0, 7, A), (1, 7, A), (2, 7, A))

    got = measure_tracks(true, found, duration_s=1)

    assert (got.switch_frames, got.fragments) == ((), 0)


def test_the_best_assignment_is_over_the_whole_recording():
    # Person 0 is followed by 7 for two frames and by 9 for three; person 1 by 9 for four. To take
    # the best pair first, 9 for 1 (4) and 7 for 0 (2), is 6; there is none better: 3 + 0.
    true = tracks(*at(A, [0] * 5), *at(B, [1] * 4, first=5))
    found = tracks(*at(A, [7, 7, 9, 9, 9]), *at(B, [9] * 4, first=5))

    assert measure_tracks(true, found, duration_s=1).idf1 == 2 * 6 / 18


def test_the_order_of_rows_makes_no_difference():
    rng = np.random.default_rng(0)
    frames, people = np.repeat(np.arange(40), 3), np.tile(np.arange(3), 40)
    boxes = rng.normal((0, 0, 20, 20), 2, (120, 4)).astype(np.float32)
    true = Tracks(frame_index_N=frames, track_N=people, boxes_N4=boxes)
    numbers = rng.permuted(people.reshape(-1, 3), axis=1).ravel()
    found = Tracks(frame_index_N=frames, track_N=numbers, boxes_N4=boxes)
    mixed, stirred = rng.permutation(120), rng.permutation(120)

    got = measure_tracks(
        Tracks(frame_index_N=frames[mixed], track_N=people[mixed], boxes_N4=boxes[mixed]),
        Tracks(frame_index_N=frames[stirred], track_N=numbers[stirred], boxes_N4=boxes[stirred]),
        duration_s=4,
    )

    assert got == measure_tracks(true, found, duration_s=4)
    assert got.switch_frames


def test_nobody_to_be_found():
    assert math.isnan(measure_tracks(tracks(), tracks(), duration_s=1).idf1)
    assert measure_tracks(tracks(), TWO, duration_s=1).idf1 == 0


def test_as_json():
    found = tracks(*at(A, [7, 7, 7, 9]))

    assert measure_tracks(TWO, found, duration_s=90).as_json() == {
        "num_true": 2,
        "num_found": 2,
        "idf1": 0.5,
        "id_precision": 0.75,
        "id_recall": 0.375,
        "switches": 1,
        "switches_per_minute": 0.6667,
        "fragments": 0,
    }


def test_a_recording_has_a_length():
    with pytest.raises(ValueError, match="duration_s"):
        measure_tracks(TWO, TWO, duration_s=0)
