import dataclasses

import numpy as np
import pytest

from poseact.datasets.rendered import (
    Act,
    Actor,
    Camera,
    Scene,
    acting_at,
    render_recording,
    render_scene,
    render_training_person,
    sample_light,
    sample_manner,
    sample_person,
)
from poseact.datasets.rendered.body import Body, Posture, stand
from poseact.datasets.rendered.crowd import MAX_PEOPLE, render_crowd
from poseact.datasets.rendered.demo_scenes import RECORDINGS, demo_scene, demo_truth
from poseact.datasets.rendered.gestures import GESTURES, act, random_arm
from poseact.datasets.rendered.look import flat
from poseact.datasets.rendered.paint import Light
from poseact.skeleton import (
    HEAD,
    L_ELBOW,
    L_SHOULDER,
    L_WRIST,
    R_ELBOW,
    R_SHOULDER,
    R_WRIST,
)

SIZE = 200
STATURE = 260.0
PERFECT = Camera(blur_px=0, noise=0)
EVEN_LIGHT = Light(direction=(0.0, 0.0, 1.0), ambient=1.0, diffuse=0.0)


def an_actor(gesture="idle", hand="left", *, seed=1, look=None, **settings):
    rng = np.random.default_rng(seed)
    acting = Act(gesture=gesture, hand=hand, start_s=0, end_s=10, manner=sample_manner(rng))
    settings = {"stature_px": STATURE, "place_px": (SIZE / 2, 290.0), "acts": (acting,), **settings}
    return Actor(look=look or sample_person(rng), **settings)


def a_scene(*actors, camera=PERFECT, light=EVEN_LIGHT, seed=7):
    return Scene(width=SIZE, height=SIZE, actors=actors, camera=camera, light=light, seed=seed)


def test_the_same_scene_looks_the_same_twice_and_its_noise_changes_from_frame_to_frame():
    still = dataclasses.replace(an_actor(), acts=())
    scene = a_scene(still, camera=Camera(noise=5))

    first, people = render_scene(scene, 1.0)
    again, people_again = render_scene(scene, 1.0)
    later, _ = render_scene(a_scene(camera=Camera(noise=5)), 1.04)

    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(people[0].joints_J3, people_again[0].joints_J3)
    changed = (later[:20] != first[:20]).mean(axis=(0, 1))
    assert (changed > 0.5).all(), "the empty wall above is noisy anew, in every color"


@pytest.mark.parametrize(
    ("yaw_rad", "sign"),
    [
        pytest.param(0.0, 1, id="facing the camera, the person's left is on the picture's right"),
        pytest.param(np.pi, -1, id="seen from behind, it is on the picture's left"),
    ],
)
def test_left_is_the_persons_own(yaw_rad, sign):
    _, (person,) = render_scene(a_scene(an_actor(yaw_rad=yaw_rad)), 5.0)

    left_to_right = (
        person.joints_J3[[L_SHOULDER, L_ELBOW], 0] - person.joints_J3[[R_SHOULDER, R_ELBOW], 0]
    )
    assert (sign * left_to_right > 0.1 * STATURE).all()


def test_a_body_stands_as_tall_and_wide_as_its_proportions_say():
    body = Body()
    arms_out = np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]])

    points = stand(body, Posture(arms=(arms_out, arms_out))).points_P3

    assert points[L_SHOULDER] == pytest.approx([0.101, 0.815, 0])
    assert points[L_ELBOW] == pytest.approx([0.101 + 0.170, 0.815, 0])
    assert points[R_WRIST] == pytest.approx([-0.101 - 0.170 - 0.146, 0.815, 0])
    assert points[HEAD, 1] == pytest.approx(0.925, abs=0.02)


@pytest.mark.parametrize("gesture", ["hello", "idle", "hips", "point", "crossed"])
def test_shown_elbows_and_wrists_lie_on_the_arm(gesture):
    magenta = flat((255, 0, 255))
    look = dataclasses.replace(
        sample_person(np.random.default_rng(3)), skin=magenta, sleeve="none", top=flat((0, 90, 0))
    )
    picture, (person,) = render_scene(a_scene(an_actor(gesture, look=look)), 5.0)

    arm = person.joints_J3[[L_ELBOW, L_WRIST, R_ELBOW, R_WRIST]]
    shown = arm[arm[:, 2] == 1]

    assert len(shown) >= 2
    for x, y, _ in shown:
        red, green, blue = picture[int(y), int(x)]
        assert min(red, blue) > 150
        assert green < 20


@pytest.mark.parametrize(
    ("hand", "wrist", "shoulder"), [("left", L_WRIST, L_SHOULDER), ("right", R_WRIST, R_SHOULDER)]
)
def test_hello_waves_the_hand_it_names_above_the_shoulder(hand, wrist, shoulder):
    actor = an_actor("hello", hand)
    frames = [render_scene(a_scene(actor), t_s)[1][0] for t_s in np.arange(4.0, 5.0, 0.1)]

    x_T = np.array([person.joints_J3[wrist, 0] for person in frames])
    assert all(person.joints_J3[wrist, 1] < person.joints_J3[shoulder, 1] for person in frames)
    assert np.ptp(x_T) > 0.04 * STATURE
    assert {(person.action, person.hand) for person in frames} == {("hello", hand)}


@pytest.mark.parametrize("seed", range(5))
def test_namaste_brings_the_palms_together_before_the_chest(seed):
    _, (person,) = render_scene(a_scene(an_actor("namaste", seed=seed)), 5.0)

    xy = person.joints_J3[:, :2]
    assert np.linalg.norm(xy[L_WRIST] - xy[R_WRIST]) < 0.06 * STATURE
    assert xy[L_SHOULDER, 1] < xy[L_WRIST, 1] < xy[L_SHOULDER, 1] + 0.25 * STATURE
    assert (person.action, person.hand) == ("namaste", "both")


def test_every_gesture_but_hello_and_namaste_is_other():
    found = {gesture: acting_at(an_actor(gesture), 5.0)[0] for gesture in GESTURES}

    assert {g for g, action in found.items() if action != "other"} == {"hello", "namaste"}


def test_the_truth_changes_where_the_act_starts_and_ends():
    actor = dataclasses.replace(
        an_actor(), acts=(Act(gesture="hello", hand="right", start_s=2, end_s=4),)
    )

    assert [acting_at(actor, t_s) for t_s in (1.99, 2.01, 3.99, 4.01)] == [
        ("other", None), ("hello", "right"), ("hello", "right"), ("other", None),
    ]  # fmt: skip


def test_people_come_and_go_and_leave_the_empty_place_behind():
    actor = dataclasses.replace(an_actor(), enter_s=2.0, leave_s=6.0)
    empty, _ = render_scene(a_scene(), 0.0)

    seen = {t_s: render_scene(a_scene(actor), t_s) for t_s in (1.9, 4.0, 8.0)}

    assert [len(people) for _, people in seen.values()] == [0, 1, 0]
    np.testing.assert_array_equal(seen[1.9][0], empty)
    np.testing.assert_array_equal(seen[8.0][0], empty)


def test_a_nearer_person_hides_the_joints_of_one_behind():
    behind = an_actor(seed=1, place_px=(100.0, 290.0), depth=0)
    before = an_actor(seed=2, place_px=(100.0, 290.0), depth=1, stature_px=300.0)

    _, alone = render_scene(a_scene(behind), 5.0)
    _, both = render_scene(a_scene(behind, before), 5.0)
    far = next(person for person in both if person.actor == 0)

    assert alone[0].joints_J3[:, 2].sum() > far.joints_J3[:, 2].sum()
    np.testing.assert_array_equal(alone[0].joints_J3[:, :2], far.joints_J3[:, :2])


def test_joints_outside_the_picture_are_exact_but_not_shown():
    actor = an_actor(place_px=(195.0, 290.0))

    _, (person,) = render_scene(a_scene(actor), 5.0)

    outside = person.joints_J3[:, 0] >= SIZE
    assert outside.any()
    assert (person.joints_J3[outside, 2] == 0).all()
    assert person.box_xyxy[2] == SIZE


def test_a_recording_is_its_moments_in_order():
    scene = a_scene(an_actor("hello"))

    frames = list(render_recording(scene, duration_s=0.4, fps=10))

    assert [t_s for t_s, _, _ in frames] == [0.0, 0.1, 0.2, 0.3]
    np.testing.assert_array_equal(frames[3][1], render_scene(scene, 0.3)[0])


def test_training_people_fill_the_picture_and_hold_their_arms_anyhow():
    rng = np.random.default_rng(0)
    samples = [render_training_person(rng, 96) for _ in range(60)]

    for picture, joints, (x0, y0, x1, y1) in samples:
        assert picture.shape == (96, 96, 3)
        assert picture.dtype == np.uint8
        shown = joints[joints[:, 2] == 1]
        assert ((shown[:, :2] >= (x0, y0)) & (shown[:, :2] <= (x1, y1))).all()
        assert x1 - x0 > 20
        assert y1 - y0 > 50
    joints_NJ3 = np.stack([joints for _, joints, _ in samples])
    raised = joints_NJ3[:, [L_WRIST, R_WRIST], 1] < joints_NJ3[:, [L_SHOULDER, R_SHOULDER], 1]
    assert 0.15 < raised.mean() < 0.6
    assert (joints_NJ3[:, L_SHOULDER, 0] < joints_NJ3[:, R_SHOULDER, 0]).mean() > 0.03, (
        "from behind"
    )


def test_training_people_stand_on_the_picture_that_is_given():
    backdrop = np.full((96, 96, 3), (200, 30, 60), np.uint8)
    before = backdrop.copy()

    picture, _, _ = render_training_person(np.random.default_rng(5), 96, backdrop_HWC=backdrop)

    np.testing.assert_array_equal(backdrop, before)
    corner = picture[:6, :6].mean(axis=(0, 1))
    assert corner[0] > 2 * max(corner[1], corner[2])


def test_no_elbow_bends_further_than_an_elbow_can():
    rng = np.random.default_rng(1)
    arms = np.stack([random_arm(rng) for _ in range(300)])

    flexion = np.degrees(np.arccos((arms[:, 0] * arms[:, 1]).sum(axis=1).clip(-1, 1)))
    assert np.linalg.norm(arms, axis=-1) == pytest.approx(1)
    assert flexion.max() <= 145.01
    assert flexion.min() < 20


def test_gestures_keep_the_arm_in_one_piece():
    body, manner = Body(), sample_manner(np.random.default_rng(2))
    for gesture in GESTURES:
        acting = Act(gesture=gesture, start_s=0, end_s=1, manner=manner)
        assert np.linalg.norm(np.stack(act(body, acting, 0.3)), axis=-1) == pytest.approx(1)


def test_an_unknown_gesture_is_refused():
    with pytest.raises(ValueError, match="gesture must be one of"):
        Act(gesture="moonwalk", start_s=0, end_s=1)


def test_a_poor_camera_is_noisy_grey_or_dark():
    light = sample_light(np.random.default_rng(0))
    sharp, _ = render_scene(a_scene(an_actor(), light=light), 5.0)
    grey, _ = render_scene(a_scene(an_actor(), light=light, camera=Camera(noise=0, grey=True)), 5.0)
    dark, _ = render_scene(a_scene(an_actor(), light=light, camera=Camera(noise=0, gamma=2)), 5.0)
    packed, _ = render_scene(
        a_scene(an_actor(), light=light, camera=Camera(noise=0, jpeg_quality=30)), 5.0
    )

    assert (grey == grey[..., :1]).all()
    assert dark.mean() < sharp.mean()
    assert packed.shape == sharp.shape
    assert 0 < np.abs(packed.astype(int) - sharp).mean() < 20


def test_the_demo_shows_hello_with_either_hand_namaste_and_moments_with_nobody():
    assert {(acted.action, acted.hand) for acted in demo_truth()} == {
        ("hello", "left"), ("hello", "right"), ("namaste", "both"),
    }  # fmt: skip
    for name in RECORDINGS:
        scene = demo_scene(name)
        nobody = [t for t in np.arange(0.0, 14.0, 0.5) if not render_scene(scene, float(t))[1]]
        assert len(nobody) >= 2


def test_a_crowd_has_a_box_around_each_person_who_is_seen_well_enough():
    counts = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        picture_HWC, boxes_N4, ignored_M4 = render_crowd(rng, 160, 120)
        assert picture_HWC.shape == (120, 160, 3)
        counts.append(len(boxes_N4) + len(ignored_M4))
        for x0, y0, x1, y1 in [*boxes_N4, *ignored_M4]:
            assert 0 <= x0 < x1 <= 160
            assert 0 <= y0 < y1 <= 120
    assert 1 <= min(counts) < max(counts) <= MAX_PEOPLE


def test_a_crowd_changes_its_backdrop_where_people_are_and_nowhere_else():
    backdrop_HWC = np.full((120, 160, 3), 90, np.uint8)
    picture_HWC, boxes_N4, ignored_M4 = render_crowd(
        np.random.default_rng(2), 160, 120, backdrop_HWC=backdrop_HWC
    )

    is_outside_HW = np.ones((120, 160), bool)
    for x0, y0, x1, y1 in np.concatenate([boxes_N4, ignored_M4]).astype(int):
        is_outside_HW[max(y0 - 6, 0) : y1 + 6, max(x0 - 6, 0) : x1 + 6] = False
    gray_HW = picture_HWC.mean(axis=2)
    assert is_outside_HW.any()
    # the camera of the rendering adds noise and changes the light, evenly
    assert gray_HW[is_outside_HW].std() < 0.5 * gray_HW[~is_outside_HW].std()
