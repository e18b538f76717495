import cv2
import numpy as np
import pytest
import torch

from poseact.datasets.scene_views import (
    CANVAS_PX,
    MIN_HEIGHT_PX,
    VIEW_PX,
    draw_scenes,
    look,
)
from poseact.datasets.scenes import LabelledScene

GREEN, RED = (0, 220, 0), (220, 0, 0)


def a_scene(folder, size, people, crowds=(), name="scene.png"):
    """Write a dark picture with a green rectangle for each person and a red one for each crowd."""
    width, height = size
    rgb_HWC = np.full((height, width, 3), 10, np.uint8)
    for boxes, color in ((crowds, RED), (people, GREEN)):
        for x0, y0, x1, y1 in boxes:
            rgb_HWC[y0:y1, x0:x1] = color
    cv2.imwrite(str(folder / name), rgb_HWC[..., ::-1])
    return LabelledScene(
        path=folder / name,
        size_px=size,
        boxes_N4=np.array(people, np.float32).reshape(-1, 4),
        ignored_M4=np.array(crowds, np.float32).reshape(-1, 4),
        group=name,
    )


def views_of(canvases, rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return look(canvases, np.array(rows), device=torch.device("cpu"), generator=generator)


def known(boxes_P4):
    return boxes_P4[~boxes_P4[:, 0].isnan()].numpy()


def test_a_canvas_holds_the_picture_and_its_boxes_at_the_same_scale(tmp_path):
    scene = a_scene(tmp_path, (1024, 512), [(100, 200, 300, 400)], [(600, 0, 800, 100)])

    canvases = draw_scenes([scene])

    assert canvases.picture_N4.tolist() == [[0, 0, CANVAS_PX, CANVAS_PX / 2]]
    assert canvases.boxes_NP4.tolist() == [[[50, 100, 150, 200]]]
    assert canvases.ignored_NI4.tolist() == [[[300, 0, 400, 50]]]
    assert canvases.rgb_NSSC[0, 150, 100].tolist() == list(GREEN)


def test_boxes_lie_where_the_view_shows_the_people(tmp_path):
    people = [(100, 60, 180, 220), (220, 100, 280, 300)]
    canvases = draw_scenes([a_scene(tmp_path, (400, 320), people)])

    overlaps = []
    for seed in range(12):
        views = views_of(canvases, [0], seed)
        red, green, blue = views.rgb_BCHW[0].numpy()
        is_green_HW = (green > 60) & (green > 2 * red) & (green > 2 * blue)
        in_box_HW = np.zeros_like(is_green_HW)
        for x0, y0, x1, y1 in [*known(views.boxes_BP4[0]), *known(views.ignored_BI4[0])]:
            in_box_HW[round(y0) : round(y1), round(x0) : round(x1)] = True
        overlaps.append((is_green_HW & in_box_HW).sum() / (is_green_HW | in_box_HW).sum())
    # blur and noise hide a few edges, and colours may be taken out
    assert np.median(overlaps) > 0.9


def test_views_come_at_many_scales_and_some_are_mirrored(tmp_path):
    # twice as far from the left as from the right
    canvases = draw_scenes([a_scene(tmp_path, (300, 300), [(150, 100, 230, 200)])])
    views = views_of(canvases, [0] * 200)
    whole = [known(boxes)[0] for boxes in views.boxes_BP4 if len(known(boxes))]
    heights = [y1 - y0 for _, y0, _, y1 in whole]

    # 100 of 300 pixels, in a view of 320 rows: 107 at scale 1
    assert min(heights) < 70
    assert max(heights) > 150
    assert {x0 < VIEW_PX[0] / 3 for x0, *_ in whole} == {True, False}
    for boxes in views.boxes_BP4:
        for x0, y0, x1, y1 in known(boxes):
            assert 0 <= x0 < x1 <= VIEW_PX[0]
            assert 0 <= y0 < y1 <= VIEW_PX[1]


def test_who_is_too_small_or_hardly_inside_is_ignored(tmp_path):
    # one of 12 rows, who is lower than the least at most scales, and one who fills the picture
    canvases = draw_scenes([a_scene(tmp_path, (416, 416), [(10, 10, 18, 20), (40, 40, 400, 400)])])
    views = views_of(canvases, [0] * 100)

    for people_P4, ignored_P4 in zip(views.boxes_BP4, views.ignored_BI4, strict=True):
        assert len(known(people_P4)) + len(known(ignored_P4)) >= 1
        assert all(y1 - y0 >= MIN_HEIGHT_PX for _, y0, _, y1 in known(people_P4))
    lows = [
        boxes
        for boxes in views.ignored_BI4
        if any(y1 - y0 < MIN_HEIGHT_PX for _, y0, _, y1 in known(boxes))
    ]
    assert len(lows) > 10


def test_the_generator_alone_decides_a_view(tmp_path):
    canvases = draw_scenes([a_scene(tmp_path, (64, 64), [(10, 10, 40, 60)])])

    assert torch.equal(views_of(canvases, [0], 1).rgb_BCHW, views_of(canvases, [0], 1).rgb_BCHW)
    assert not torch.equal(views_of(canvases, [0], 1).rgb_BCHW, views_of(canvases, [0], 2).rgb_BCHW)


def test_rendered_people_join_the_pictures_half_of_them_on_an_empty_one(tmp_path):
    scenes = [
        a_scene(tmp_path, (64, 64), [(10, 10, 40, 60)], name="person.png"),
        a_scene(tmp_path, (80, 60), [], name="empty.png"),
    ]

    canvases = draw_scenes(scenes, num_rendered=4, seed=3)

    assert len(canvases) == 6
    shapes = [tuple(np.round(corners[2:]).tolist()) for corners in canvases.picture_N4]
    assert shapes == [(512, 512), (512, 384), (512, 384), (512, 384), (512, 384), (512, 384)]
    num_people = [len(known(torch.from_numpy(boxes))) for boxes in canvases.boxes_NP4]
    assert num_people[:2] == [1, 0]
    assert all(1 <= count <= 6 for count in num_people[2:])
    again = draw_scenes(scenes, num_rendered=4, seed=3)
    np.testing.assert_array_equal(canvases.rgb_NSSC, again.rgb_NSSC)
    assert not np.array_equal(
        canvases.rgb_NSSC[2:], draw_scenes(scenes, num_rendered=4, seed=4).rgb_NSSC[2:]
    )


@pytest.mark.parametrize("size", [(40, 400), (400, 40)], ids=["tall", "wide"])
def test_long_pictures_fit(tmp_path, size):
    canvases = draw_scenes([a_scene(tmp_path, size, [(5, 5, 30, 30)])])

    assert views_of(canvases, [0]).rgb_BCHW.shape == (1, 3, VIEW_PX[1], VIEW_PX[0])
