"""Single rendered people with arms in any pose, to mix into the training of a pose model."""

import numpy as np

from poseact.datasets.rendered.body import Posture, stand
from poseact.datasets.rendered.gestures import GESTURES, Act, Side, act, random_arm, sample_manner
from poseact.datasets.rendered.look import Look, sample_look
from poseact.datasets.rendered.paint import NOBODY, Canvas, chance
from poseact.datasets.rendered.person import Box, Joints, paint_person, shown_box, with_visibility
from poseact.datasets.rendered.place import expose, paint_backdrop, sample_camera, sample_light
from poseact.geometry import ImageArray


def render_training_person(
    rng: np.random.Generator, size_px: int, *, backdrop_HWC: ImageArray | None = None
) -> tuple[ImageArray, Joints, Box]:
    """Render one upper body with arms in any pose, as a sample to train a pose model with.

    Args:
        rng: Decides everything: person, arms, turn, place, light, camera.
        size_px: Side of the picture.
        backdrop_HWC: Picture to paint on, (size_px, size_px, 3), uint8 RGB; a rendered place
            when not given.

    Returns:
        Picture, (size_px, size_px, 3), uint8 RGB; joints, (7, 3), x, y in its pixels and 1 where
        shown, 0 where hidden or outside; box of the person in it, pixels.
    """
    look = sample_look(rng)
    if backdrop_HWC is None:
        rgb_HWC = paint_backdrop(rng, size_px, size_px)
    else:
        rgb_HWC = backdrop_HWC.astype(np.float32)
    stature_px = float(size_px * rng.uniform(1.0, 2.0))
    owner_HW = np.full((size_px, size_px), NOBODY, np.int16)
    canvas = Canvas(rgb_HWC, owner_HW, sample_light(rng), stature_px)
    solid = stand(look.body, sample_posture(rng, look))
    chest = np.array([rng.normal(0.5, 0.06), rng.normal(0.47, 0.06)]) * size_px
    place = chest + np.array([0.0, 0.74 * stature_px])
    joints_J2 = paint_person(canvas, look, solid, person=0, origin_px=place)
    joints = with_visibility(canvas, joints_J2, 0)
    box = shown_box(canvas, 0)
    if box is None:
        raise AssertionError("a person at the middle of the picture is always seen")
    return expose(sample_camera(rng, size_px), rgb_HWC, rng), joints, box


def sample_posture(rng: np.random.Generator, look: Look) -> Posture:
    """Draw how a person stands: any arms, turned any way, now and then seen from behind."""
    if chance(rng, 0.35):
        gesture = str(rng.choice(list(GESTURES)))
        hand: Side = "left" if chance(rng, 0.5) else "right"
        acting = Act(gesture=gesture, hand=hand, start_s=0, end_s=1, manner=sample_manner(rng))
        arms = act(look.body, acting, float(rng.uniform(0, 1)))
    else:
        arms = (random_arm(rng), random_arm(rng))
    from_behind = chance(rng, 0.12)  # FLIC has 5 %, and they are the hard ones
    return Posture(
        arms=arms,
        yaw_rad=float(rng.normal(0, 0.45) + np.pi * from_behind),
        lean_rad=float(rng.normal(0, 0.1)),
        bow_rad=float(rng.normal(0.05, 0.12)),
        head_yaw_rad=float(rng.normal(0, 0.4)),
        head_pitch_rad=float(rng.normal(0.08, 0.18)),
        head_roll_rad=float(rng.normal(0, 0.12)),
        stride_rad=None if chance(rng, 0.6) else float(rng.uniform(0, 6)),
    )
