import dataclasses

import cv2
import numpy as np
import pytest
import torch

from poseact.datasets.augment import CanvasBatch, Jitter, augment
from poseact.datasets.canvas import CANVAS_PX, draw_canvases
from poseact.datasets.person import LabelledPerson
from poseact.skeleton import L_WRIST, R_WRIST

STILL = Jitter(
    color_probability=0.0,
    grey_probability=0.0,
    blur_probability=0.0,
    jpeg_probability=0.0,
    noise_probability=0.0,
    cutout_probability=0.0,
)
"""Geometry only, so that a bright spot keeps its brightness."""


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def spot_batch(count=64):
    """Black canvases with one white spot, on which the left wrist lies; others unlabelled."""
    rng = np.random.default_rng(0)
    rgb = np.zeros((count, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    joints = np.zeros((count, 7, 3), np.float32)
    for i, (x, y) in enumerate(rng.integers(90, 166, (count, 2))):
        rgb[i, y - 4 : y + 4, x - 4 : x + 4] = 255
        joints[i, L_WRIST] = (x, y, 1)
    whole = np.tile(np.float32([0, 0, CANVAS_PX, CANVAS_PX]), (count, 1))
    return CanvasBatch(
        rgb_BHWC=torch.from_numpy(rgb),
        joints_BJ3=torch.from_numpy(joints),
        picture_B4=torch.from_numpy(whole),
    )


def test_a_joint_stays_on_the_pixel_it_labels_whatever_the_view():
    views = augment(spot_batch(), 192, jitter=STILL, generator=dice())

    wrists = views.joints_BJ3[:, [L_WRIST, R_WRIST]]
    is_labelled = wrists[..., 2] > 0
    assert (is_labelled.sum(dim=1) == 1).all()
    assert 0.3 < is_labelled[:, 1].float().mean() < 0.7  # mirrored: the left wrist became right
    checked = 0
    for view, (x, y, _) in zip(views.rgb_BCHW, wrists[is_labelled].tolist(), strict=True):
        if 8 < x < 184 and 8 < y < 184:
            assert view[0, int(y), int(x)] > 200
            checked += 1
    assert checked > 40


def test_the_same_seed_gives_the_same_views():
    one = augment(spot_batch(8), 64, jitter=Jitter(), generator=dice(3))
    two = augment(spot_batch(8), 64, jitter=Jitter(), generator=dice(3))
    other = augment(spot_batch(8), 64, jitter=Jitter(), generator=dice(4))

    assert torch.equal(one.rgb_BCHW, two.rgb_BCHW)
    assert not torch.equal(one.rgb_BCHW, other.rgb_BCHW)


def test_what_lies_outside_the_picture_is_filled_with_something_else():
    batch = spot_batch(32)
    grey = torch.full_like(batch.rgb_BHWC, 90)
    narrow = torch.tensor([[100.0, 0.0, 156.0, CANVAS_PX]]).repeat(32, 1)
    batch = dataclasses.replace(batch, rgb_BHWC=grey, picture_B4=narrow)

    views = augment(batch, 64, jitter=STILL, generator=dice())

    has_other_color = (views.rgb_BCHW - 90).abs().amax(dim=(1, 2, 3)) > 1
    assert 0.2 < has_other_color.float().mean() < 0.6  # flat colours; the rest is grey again


@pytest.mark.parametrize(
    "effect", ["color", "grey", "blur", "jpeg", "noise", "cutout"], ids=lambda name: name
)
def test_each_effect_changes_the_picture_and_stays_in_range(effect):
    rng = torch.Generator().manual_seed(1)
    batch = dataclasses.replace(
        spot_batch(8),
        rgb_BHWC=torch.randint(0, 256, (8, CANVAS_PX, CANVAS_PX, 3), generator=rng).byte(),
    )
    probabilities = {f"{effect}_probability": 1.0}
    if effect == "grey":
        probabilities["color_probability"] = 1.0
    still = augment(batch, 64, jitter=STILL, generator=dice())

    changed = augment(
        batch, 64, jitter=dataclasses.replace(STILL, **probabilities), generator=dice()
    )

    assert not torch.equal(still.rgb_BCHW, changed.rgb_BCHW)
    assert torch.equal(still.joints_BJ3, changed.joints_BJ3)
    assert changed.rgb_BCHW.min() >= 0
    assert changed.rgb_BCHW.max() <= 255


def test_canvases_hold_the_person_and_tell_where_the_picture_ends(tmp_path):
    picture = np.zeros((100, 60, 3), np.uint8)
    picture[48:52, 28:32] = 255
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    joints = np.tile(np.float32([30, 50, 1]), (7, 1))
    person = LabelledPerson(
        path=tmp_path / "a.png",
        size_px=(60, 100),
        joints_J3=joints,
        square=(30, 50, 100),
        torso_px=30,
        group="a",
    )

    canvases = draw_canvases([person])

    assert canvases.joints_NJ3[0, 0].tolist() == pytest.approx([128, 128, 1])
    assert canvases.rgb_NHWC[0, 128, 128].tolist() == [255, 255, 255]
    scale = CANVAS_PX / 140
    expected = [128 - 30 * scale, 128 - 50 * scale, 128 + 30 * scale, 128 + 50 * scale]
    assert canvases.picture_N4[0].tolist() == pytest.approx(expected, rel=1e-4)
