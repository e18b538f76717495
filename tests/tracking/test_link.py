import numpy as np
import pytest

from poseact.evaluation.tracks import Tracks, measure_tracks
from poseact.geometry import box_iou
from poseact.skeleton import NUM_JOINTS
from poseact.tracking.link import link_people

FPS = 25
HEIGHT = 100.0

STANDING = np.array(
    [(0.9, 0.5), (0.9, 0.35), (0.75, 0.2), (0.5, 0.1), (0.25, 0.2), (0.1, 0.35), (0.1, 0.5)]
)
"""Joints of somebody who stands, shares of the width and the height of the box."""


def box(x, height=HEIGHT, foot=150.0):
    """A person three times as high as wide, centred on x."""
    return (x - height / 6, foot - height, x + height / 6, foot)


def unseen(num_rows):
    return np.full((num_rows, NUM_JOINTS, 3), np.nan, np.float32)


def link(people):
    """Link people given as (second, box), by their boxes alone."""
    pts_s = np.array([second for second, _ in people], float)
    frame_index = np.unique(pts_s, return_inverse=True)[1]
    boxes = np.array([corners for _, corners in people], np.float32).reshape(-1, 4)
    return link_people(frame_index, pts_s, boxes, unseen(len(boxes))).tolist()


def walk(x, speed, seconds, gone=(0, 0)):
    """Somebody who walks along the picture, not found in [gone)."""
    times = np.arange(seconds * FPS) / FPS
    return [(t, box(x + speed * t)) for t in times if not gone[0] <= t < gone[1]]


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([(7.0, box(0))], [0], id="one row"),
        pytest.param([(0, box(0)), (0.1, box(2)), (0.2, box(4))], [0, 0, 0], id="one walks"),
        pytest.param([(0, box(0)), (0.1, box(300))], [0, 1], id="a jump is another person"),
        pytest.param([(0, box(0)), (0.1, box(0, 40))], [0, 1], id="so is half the height"),
        pytest.param(
            [(0, box(90)), (0, box(0)), (0.1, box(0)), (0.1, box(90))],
            [1, 0, 0, 1],
            id="numbered from left to right, whatever the order of rows",
        ),
        pytest.param(
            [(0, box(0, foot=400)), (0, box(0, foot=150))],
            [1, 0],
            id="the upper one first where x is equal",
        ),
        pytest.param(
            [(0, box(50)), (0.1, box(50)), (0.1, box(0))],
            [0, 0, 1],
            id="who comes later has a higher number, also further left",
        ),
        pytest.param(
            [(0, box(0)), (0, box(90)), (0.1, box(90)), (0.2, box(500))],
            [0, 1, 1, 2],
            id="a number is not used twice",
        ),
        pytest.param([(0, (5, 5, 5, 5)), (0.1, (5, 5, 5, 5))], [0, 0], id="a box with no area"),
        pytest.param([(0, (5, 5, 5, 5)), (0.1, (99, 5, 99, 5))], [0, 1], id="that jumps"),
    ],
)
def test_tracks(people, expected):
    assert link(people) == expected


@pytest.mark.parametrize("gap_s", [0.2, 0.9, 1.5, 1.9])
@pytest.mark.parametrize("speed", [0, 40])
def test_somebody_who_walks_on_behind_a_pillar_stays_the_same(gap_s, speed):
    assert set(link(walk(0, speed, 5, gone=(2, 2 + gap_s)))) == {0}


@pytest.mark.parametrize("speed", [0, 40])
def test_a_gap_of_more_than_two_seconds_ends_a_track(speed):
    ids = link(walk(0, speed, 6, gone=(2, 4.2)))

    assert ids[: 2 * FPS] == [0] * (2 * FPS)
    assert set(ids[2 * FPS :]) == {1}


def test_a_gap_is_measured_in_time_and_not_in_frames():
    frame_index, boxes = np.array([0, 1]), np.array([box(0), box(0)], np.float32)

    assert link_people(frame_index, np.array([0, 2.5]), boxes, unseen(2)).tolist() == [0, 1]
    assert link_people(frame_index * 500, np.array([0, 0.5]), boxes, unseen(2)).tolist() == [0, 0]


@pytest.mark.parametrize(
    "seconds", [(0, 0.04, 0.3, 0.34, 0.9), (0, 0.8, 0.81, 0.82, 1.6)], ids=["jerky", "stalling"]
)
def test_steps_of_time_need_not_be_equal(seconds):
    people = [(t, box(50 * t)) for t in seconds] + [(t, box(200 - 50 * t)) for t in seconds]

    assert link(people) == [0] * 5 + [1] * 5


def crossing(heights=(HEIGHT, HEIGHT)):
    """Two people who pass each other after two seconds; while they overlap one has no box."""
    left = [(t, box(30 * t, heights[0])) for t in np.arange(4 * FPS) / FPS]
    right = [(t, box(120 - 30 * t, heights[1])) for t in np.arange(4 * FPS) / FPS]
    boxes = np.array([corners for _, corners in left + right], np.float32).reshape(2, -1, 4)
    is_hidden = [box_iou(a[None], b[None])[0, 0] > 0.5 for a, b in zip(*boxes, strict=True)]
    assert sum(is_hidden) >= 5
    return left, [person for person, hidden in zip(right, is_hidden, strict=True) if not hidden]


@pytest.mark.parametrize("heights", [(100, 100), (110, 90)], ids=["alike", "of two heights"])
def test_people_who_cross_keep_their_numbers(heights):
    left, right = crossing(heights)

    assert link(left + right) == [0] * len(left) + [1] * len(right)


def test_joints_tell_apart_whom_boxes_do_not():
    # Two boxes exchange their places between two frames, the joints inside stay.
    boxes = np.array([box(0), box(12), box(12), box(0)], np.float32)
    joints = np.ones((4, 1, 3), np.float32)
    joints[:, 0, :2] = [(0, 60), (12, 140), (0, 60), (12, 140)]
    frame_index = np.array([0, 0, 1, 1])

    by_joints = link_people(frame_index, frame_index / FPS, boxes, joints)
    joints[..., 2] = 0
    by_boxes = link_people(frame_index, frame_index / FPS, boxes, joints)

    assert by_joints.tolist() == [0, 1, 0, 1]
    assert by_boxes.tolist() == [0, 1, 1, 0]


class Crowd:
    """People who walk to and fro at speeds of their own; the nearer one hides the other.

    ``true`` has the boxes that are to be seen, the rest is what a detector and a pose model
    with noise make of them.
    """

    def __init__(self, seed, *, num=5, seconds=20, fps=FPS, longest_hidden_s=1.0):
        rng = np.random.default_rng(seed)
        pts_s = np.arange(seconds * fps) / fps
        while True:
            boxes_TP4 = self._paths(rng, pts_s, num)
            is_shown_TP = self._shown(boxes_TP4)
            if self._longest_run(~is_shown_TP) <= longest_hidden_s * fps:
                break
        frame_index, person = np.nonzero(is_shown_TP)
        true = boxes_TP4[is_shown_TP]
        self.true = Tracks(
            frame_index_N=frame_index, track_N=person, boxes_N4=true.astype(np.float32)
        )
        self.duration_s = seconds

        found = rng.random(len(true)) >= 0.02
        true, self.frame_index = true[found], frame_index[found]
        self.pts_s = pts_s[self.frame_index]
        height = (true[:, 3] - true[:, 1])[:, None]
        self.boxes = (true + rng.normal(0, 0.03, true.shape) * height).astype(np.float32)
        joints = true[:, None, :2] + STANDING * (true[:, None, 2:] - true[:, None, :2])
        joints += rng.normal(0, 0.02, joints.shape) * height[..., None]
        joints[rng.random(joints.shape[:2]) < 0.05] = np.nan
        sure = rng.uniform(0.5, 1, (*joints.shape[:2], 1))
        self.joints = np.concatenate([joints, sure], axis=2).astype(np.float32)

    @staticmethod
    def _paths(rng, pts_s, num):
        height = rng.permutation(np.linspace(120, 190, num))
        speed = rng.uniform(0.35, 0.85, num) * height
        turn_left, turn_right = rng.uniform(40, 180, num), rng.uniform(460, 600, num)
        x, now = rng.uniform(turn_left, turn_right), speed * rng.choice([-1, 1], num)
        wanted, step_s = now, pts_s[1]
        centres = []
        for _ in pts_s:
            centres.append(x)
            x = x + now * step_s
            wanted = np.where(x > turn_right, -speed, np.where(x < turn_left, speed, wanted))
            # to turn takes 0.8 s
            now = now + np.clip(wanted - now, -2.5 * speed * step_s, 2.5 * speed * step_s)
        x_TP, foot = np.array(centres), np.broadcast_to(180 + height, (len(pts_s), num))
        return np.stack([x_TP - height / 6, foot - height, x_TP + height / 6, foot], axis=2)

    @staticmethod
    def _shown(boxes_TP4):
        """Suppress who overlaps with somebody nearer, whose feet are lower."""
        is_shown_TP = np.zeros(boxes_TP4.shape[:2], bool)
        order = np.argsort(-boxes_TP4[0, :, 3])
        for boxes_P4, is_shown_P in zip(boxes_TP4.astype(np.float32), is_shown_TP, strict=True):
            iou = box_iou(boxes_P4, boxes_P4)
            for person in order:
                is_shown_P[person] = not (iou[person, is_shown_P] > 0.5).any()
        return is_shown_TP

    @staticmethod
    def _longest_run(is_hidden_TP):
        run, longest = np.zeros(is_hidden_TP.shape[1]), 0
        for is_hidden_P in is_hidden_TP:
            run = np.where(is_hidden_P, run + 1, 0)
            longest = max(longest, run.max())
        return longest

    def measure(self):
        ids = link_people(self.frame_index, self.pts_s, self.boxes, self.joints)
        found = Tracks(frame_index_N=self.frame_index, track_N=ids, boxes_N4=self.boxes)
        return measure_tracks(self.true, found, duration_s=self.duration_s)


def test_five_people_who_cross_again_and_again_keep_their_numbers():
    crowds = [Crowd(seed) for seed in range(10)]
    # each of them is hidden now and then, or this would be easy
    assert all(len(crowd.true.track_N) < 0.98 * 5 * 20 * FPS for crowd in crowds)

    idf1 = [crowd.measure().idf1 for crowd in crowds]

    assert np.mean(idf1) >= 0.95, idf1
    assert np.median(idf1) >= 0.97, idf1


def test_the_order_of_rows_makes_no_difference():
    crowd = Crowd(0, seconds=6)
    mixed = np.random.default_rng(1).permutation(len(crowd.boxes))

    straight = link_people(crowd.frame_index, crowd.pts_s, crowd.boxes, crowd.joints)

    got = link_people(
        *(a[mixed] for a in (crowd.frame_index, crowd.pts_s, crowd.boxes, crowd.joints))
    )
    np.testing.assert_array_equal(got, straight[mixed])
    assert got.dtype == np.int32


def test_what_is_given_is_left_alone():
    given = np.arange(2), np.array([0, 0.1]), np.array([box(0), box(1)], np.float32), unseen(2)
    before = [array.copy() for array in given]

    link_people(*given)

    for array, was in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize(
    ("pts_s", "boxes", "joints"),
    [
        pytest.param(np.zeros(2), np.zeros((1, 4)), unseen(1), id="one time too many"),
        pytest.param(np.zeros(1), np.zeros((1, 5)), unseen(1), id="five corners"),
        pytest.param(np.zeros(1), np.zeros((1, 4)), unseen(2), id="joints of two people"),
        pytest.param(np.zeros(1), np.zeros((1, 4)), unseen(1)[..., :2], id="no confidence"),
        pytest.param(np.zeros(1), np.full((1, 4), np.nan), unseen(1), id="nobody"),
    ],
)
def test_inputs_that_disagree_are_refused(pts_s, boxes, joints):
    with pytest.raises(ValueError, match="boxes"):
        link_people(np.zeros(1, np.int64), pts_s, boxes.astype(np.float32), joints)
