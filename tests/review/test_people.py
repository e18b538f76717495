import numpy as np
import pytest

from poseact.review.people import FramePeople, Person, bridged, read_people
from poseact.video.probe import video_id_of

FPS = 10


def person(x, *, track_id=1):
    return Person(
        track_id=track_id,
        box_xyxy=np.float32([x, 0, x + 50, 100]),
        joints_J3=np.full((7, 3), x, np.float32),
        doing="hello 0.90",
    )


def frames_of(seen, num_frames):
    """One person, at x = 10 times the frame, seen in some frames."""
    for index in range(num_frames):
        people = (person(10.0 * index),) if index in seen else ()
        yield FramePeople(frame_index=index, pts_s=index / FPS, people=people)


def test_the_rows_of_a_timeline_become_frames_with_and_without_people(
    make_recording, make_run, joints
):
    path = make_recording()
    out = make_run(path, seen={4})

    frames = list(read_people(out, video_id_of(str(path))))

    assert [frame.frame_index for frame in frames] == list(range(24))
    assert frames[6].pts_s == pytest.approx(6 / 12)
    assert [len(frame.people) for frame in frames] == [0] * 4 + [1] + [0] * 19
    (found,) = frames[4].people
    assert (found.track_id, found.doing) == (3, "hello 0.91")
    np.testing.assert_array_equal(found.box_xyxy, [90, 40, 230, 220])
    np.testing.assert_array_equal(found.joints_J3, joints)


def test_who_is_lost_from_sight_for_a_moment_is_taken_to_be_on_the_way():
    frames = list(bridged(frames_of({2, 6}, 9)))

    assert [len(frame.people) for frame in frames] == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    for index in (3, 4, 5):
        (between,) = frames[index].people
        assert between.doing is None
        np.testing.assert_allclose(between.box_xyxy, [10 * index, 0, 10 * index + 50, 100])
        np.testing.assert_allclose(between.joints_J3, 10 * index)
    assert frames[6].people[0].doing == "hello 0.90"


@pytest.mark.parametrize(
    ("back_after", "expected"), [(20, 19), (22, 0)], ids=["two seconds", "longer"]
)
def test_who_was_away_for_long_was_away(back_after, expected):
    frames = list(bridged(frames_of({0, back_after}, 30)))

    assert sum(len(frame.people) for frame in frames) == 2 + expected


def test_another_person_does_not_fill_the_gap():
    frames = [
        FramePeople(frame_index=0, pts_s=0.0, people=(person(0, track_id=1),)),
        FramePeople(frame_index=1, pts_s=0.1, people=()),
        FramePeople(frame_index=2, pts_s=0.2, people=(person(0, track_id=2),)),
    ]

    assert [len(frame.people) for frame in bridged(frames)] == [1, 0, 1]


def test_it_reads_ahead_by_the_longest_gap_only():
    read = []

    def counted():
        for frame in frames_of({0}, 1000):
            read.append(frame.frame_index)
            yield frame

    frames = bridged(counted())

    assert next(frames).frame_index == 0
    assert len(read) == pytest.approx(2 * FPS, abs=3)
    assert next(frames).frame_index == 1
    assert len(read) == pytest.approx(2 * FPS + 1, abs=3)
