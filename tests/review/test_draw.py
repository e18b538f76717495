import cv2
import numpy as np
import pytest

from poseact.review.draw import (
    LEFT_COLOR,
    RIGHT_COLOR,
    draw_box,
    draw_pose,
    hide_all,
    hide_head,
    png_bytes,
)
from poseact.skeleton import HEAD, L_ELBOW, L_SHOULDER, L_WRIST, R_ELBOW, R_SHOULDER, R_WRIST


@pytest.fixture
def joints():
    """A person who faces the camera, 60 px between the shoulders."""
    joints_J3 = np.zeros((7, 3), np.float32)
    joints_J3[:, 2] = 0.9
    joints_J3[L_SHOULDER, :2], joints_J3[R_SHOULDER, :2] = (130.5, 100.5), (70.5, 100.5)
    joints_J3[L_ELBOW, :2], joints_J3[R_ELBOW, :2] = (150.5, 140.5), (50.5, 140.5)
    joints_J3[L_WRIST, :2], joints_J3[R_WRIST, :2] = (150.5, 180.5), (50.5, 180.5)
    joints_J3[HEAD, :2] = (100.5, 65.5)
    return joints_J3


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)


def test_joints_take_the_color_of_the_persons_side_and_the_picture_is_left_alone(joints):
    black = np.zeros((200, 200, 3), np.uint8)

    drawn = draw_pose(black, joints, confidences=False)

    assert tuple(drawn[180, 150]) == LEFT_COLOR
    assert tuple(drawn[180, 50]) == RIGHT_COLOR
    assert drawn[120, 140].any(), "a bone between shoulder and elbow"
    assert not black.any()


def test_a_joint_that_is_not_seen_is_not_drawn_and_a_doubtful_one_is_hollow(joints):
    joints[L_WRIST] = np.nan
    joints[R_WRIST, 2] = 0.05

    drawn = draw_pose(np.zeros((200, 200, 3), np.uint8), joints, confidences=False)

    assert not drawn[170:, 100:].any()
    assert not drawn[180, 50].any()
    assert drawn[175:186, 45:56].any(), "the ring around it"
    assert not drawn[155:172, 45:56].any(), "no bone to it"


def test_confidences_and_the_label_are_written(joints):
    plain = draw_pose(np.zeros((200, 200, 3), np.uint8), joints, confidences=False)
    written = draw_pose(np.zeros((200, 200, 3), np.uint8), joints, "hello 0.97")

    assert (written != plain)[:20, :100].any(), "the label at the top"
    assert (written != plain)[170:190, 150:190].any(), "percent beside the wrist"


def test_bones_are_as_wide_as_asked(joints):
    def painted(width_px):
        drawn = draw_pose(
            np.zeros((200, 200, 3), np.uint8), joints, confidences=False, width_px=width_px
        )
        return int((drawn[155:165, 145:156] > 200).any(axis=2).sum())

    assert [painted(1), painted(5)] == [pytest.approx(10, abs=3), pytest.approx(60, abs=12)]


def test_a_box_leaves_all_but_its_edge_and_its_text_alone(noise):
    drawn = draw_box(noise, np.float32([40, 60, 160, 180]), "7", (10, 200, 30))

    for y, x in ((60, 100), (180, 100), (100, 40), (100, 160)):
        assert tuple(drawn[y, x]) == (10, 200, 30)
    np.testing.assert_array_equal(drawn[65:175, 45:155], noise[65:175, 45:155])
    np.testing.assert_array_equal(drawn[:40], noise[:40])
    assert (drawn != noise)[40:58, 40:50].any(), "the text above its corner"


def test_far_outside_joints_do_not_break_the_drawing(joints):
    joints[L_WRIST, :2] = (1e9, -1e9)

    drawn = draw_pose(np.zeros((200, 200, 3), np.uint8), joints)

    assert drawn.shape == (200, 200, 3)


def test_a_hidden_head_has_lost_its_detail_and_nothing_else_has(joints, noise):
    hidden = hide_head(noise, joints)

    face = hidden[45:85, 85:115].reshape(-1, 3)
    assert len(np.unique(face, axis=0)) <= 25
    changed_y, changed_x = np.nonzero((hidden != noise).any(axis=2))
    assert changed_y.min() < 40
    assert changed_y.max() < 105
    assert (changed_x.min(), changed_x.max()) == (
        pytest.approx(67, abs=3),
        pytest.approx(133, abs=3),
    )


def test_an_unseen_head_is_hidden_above_the_shoulders(joints, noise):
    joints[HEAD] = np.nan

    hidden = hide_head(noise, joints)

    assert len(np.unique(hidden[50:85, 85:115].reshape(-1, 3), axis=0)) <= 25
    np.testing.assert_array_equal(hidden[130:], noise[130:])


def test_a_head_seen_from_the_side_is_hidden_too(joints, noise):
    joints[[L_SHOULDER, R_SHOULDER], 0] = 100.5

    hidden = hide_head(noise, joints)

    assert len(np.unique(hidden[50:80, 88:112].reshape(-1, 3), axis=0)) <= 25


def test_where_nobody_knows_the_head_all_is_hidden(joints, noise):
    joints[[HEAD, L_SHOULDER]] = np.nan

    assert len(np.unique(hide_head(noise, joints).reshape(-1, 3), axis=0)) <= 25


def test_of_a_known_box_no_more_than_the_box_is_hidden(joints, noise):
    joints[[HEAD, L_SHOULDER]] = np.nan

    hidden = hide_head(noise, joints, np.float32([50.4, 60, 150, 500]))

    assert len(np.unique(hidden[60:, 50:150].reshape(-1, 3), axis=0)) <= 25
    hidden[60:, 50:150] = noise[60:, 50:150]
    np.testing.assert_array_equal(hidden, noise)


def test_a_lone_head_tells_no_size(joints, noise):
    joints[np.arange(7) != HEAD] = np.nan

    assert len(np.unique(hide_head(noise, joints).reshape(-1, 3), axis=0)) <= 25


def test_joints_that_fell_together_hide_what_the_box_says(joints, noise):
    joints[:, :2] = (100, 80)
    joints[L_WRIST, :2] = (101, 80)

    hidden = hide_head(noise, joints, np.float32([50, 40, 150, 200]))

    assert len(np.unique(hidden[74:87, 94:107].reshape(-1, 3), axis=0)) <= 25


def test_a_box_out_of_the_picture_hides_nothing(noise):
    np.testing.assert_array_equal(hide_all(noise, np.float32([300, 0, 400, 90])), noise)


@pytest.mark.parametrize("head", [(0.0, 0.0), (199.0, 5.0), (400.0, 400.0)])
def test_heads_at_and_beyond_the_edge(joints, noise, head):
    joints[HEAD, :2] = head

    assert hide_head(noise, joints).shape == noise.shape


def test_png_keeps_the_picture(noise):
    decoded = cv2.imdecode(np.frombuffer(png_bytes(noise), np.uint8), cv2.IMREAD_COLOR)

    np.testing.assert_array_equal(decoded[..., ::-1], noise)
