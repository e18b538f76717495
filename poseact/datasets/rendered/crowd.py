"""Rendered people at any scale, some before others, to mix into the training of a detector."""

import math

import numpy as np
import numpy.typing as npt

from poseact.datasets.rendered.body import stand
from poseact.datasets.rendered.look import sample_look
from poseact.datasets.rendered.paint import NOBODY, Canvas
from poseact.datasets.rendered.person import paint_person, shown_box
from poseact.datasets.rendered.place import expose, paint_backdrop, sample_camera, sample_light
from poseact.datasets.rendered.training import sample_posture
from poseact.geometry import ImageArray

MAX_PEOPLE = 6
"""Most people of a picture."""

STATURE = (0.12, 1.6)
"""Smallest and largest person over the height of the picture; the larger do not fit."""

LEAST_SHOWN = 0.04
"""Least area of the box of what is shown of somebody, in statures squared, who is to be found;
whole and from the front it is about 0.35, an arm alone less than this."""


def render_crowd(
    rng: np.random.Generator, width: int, height: int, *, backdrop_HWC: ImageArray | None = None
) -> tuple[ImageArray, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Render a picture of several people.

    Args:
        rng: Decides everything: people, where they are, place, light, camera.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        backdrop_HWC: Picture without people to paint on, (height, width, 3), uint8 RGB; a
            rendered place when not given.

    Returns:
        Picture, (height, width, 3), uint8 RGB; boxes (N, 4) of what it shows of people,
        x0 y0 x1 y1 in pixels; and boxes (M, 4) of those of whom it shows too little.
    """
    if backdrop_HWC is None:
        rgb_HWC = paint_backdrop(rng, width, height)
    else:
        rgb_HWC = backdrop_HWC.astype(np.float32)
    owner_HW = np.full((height, width), NOBODY, np.int16)
    light = sample_light(rng)
    smallest, largest = (math.log(height * share) for share in STATURE)
    num_people = int(rng.integers(1, MAX_PEOPLE + 1))
    statures_px = np.exp(rng.uniform(smallest, largest, num_people))
    # one camera sees them all: who is nearer is larger and stands lower
    horizon_y = rng.uniform(0.05, 0.5) * height
    camera_height = rng.uniform(0.6, 1.5)  # statures
    canvases = []
    for person, stature_px in enumerate(np.sort(statures_px).tolist()):
        canvas = Canvas(rgb_HWC, owner_HW, light, stature_px)
        look = sample_look(rng)
        solid = stand(look.body, sample_posture(rng, look))
        feet = np.array([rng.uniform(0, width), horizon_y + camera_height * stature_px])
        paint_person(canvas, look, solid, person=person, origin_px=feet)
        canvases.append(canvas)
    shown = [(shown_box(canvas, k), canvas.px_per_stature) for k, canvas in enumerate(canvases)]
    boxes_K5 = np.array([(*box, size) for box, size in shown if box], np.float32).reshape(-1, 5)
    area_K = (boxes_K5[:, 2:4] - boxes_K5[:, :2]).prod(axis=1) / boxes_K5[:, 4] ** 2
    is_clear_K = area_K >= LEAST_SHOWN
    picture_HWC = expose(sample_camera(rng, max(width, height)), rgb_HWC, rng)
    return picture_HWC, boxes_K5[is_clear_K, :4], boxes_K5[~is_clear_K, :4]
