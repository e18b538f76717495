import numpy as np
import pytest
import torch
from torchvision.ops import nms

from poseact.geometry import (
    OUTSIDE_GREY,
    invert,
    square_to_crop,
    suppress_doubles,
    transform_points,
    upper_body_square,
    warp_crop,
)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((0, 0, 100, 300), (50, 80, 184), id="a standing body keeps its upper half"),
        pytest.param((0, 0, 100, 120), (50, 60, 138), id="a cut-off body keeps all"),
        pytest.param((0, 0, 200, 100), (100, 50, 230), id="spread arms widen the square"),
    ],
)
def test_the_square_of_a_box(box, expected):
    assert upper_body_square(box) == pytest.approx(expected)


def test_a_box_without_area_is_refused():
    with pytest.raises(ValueError, match="area"):
        upper_body_square((5, 0, 5, 10))


def test_there_and_back_again():
    matrix = square_to_crop((40, 70, 90), 192)
    points = np.array([[40, 70], [np.nan, 3]], np.float32)

    crop_points = transform_points(points, matrix)

    assert crop_points[0] == pytest.approx((96, 96))
    assert np.isnan(crop_points[1, 0])
    assert transform_points(crop_points, invert(matrix))[0] == pytest.approx((40, 70), abs=1e-3)


def test_a_crop_at_scale_one_copies_pixels_and_greys_the_outside():
    frame = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)

    crop = warp_crop(frame, square_to_crop((8, 4, 8), 8), 8)

    np.testing.assert_array_equal(crop[:, :4], frame[:, 4:])
    assert (crop[:, 4:] == OUTSIDE_GREY).all()


@pytest.mark.parametrize("size_px", [16, 40, 128])
def test_a_point_stays_where_the_map_says_at_any_scale(size_px):
    frame = np.zeros((128, 128, 3), np.uint8)
    frame[60:68, 28:36] = 255  # centre of the blob at (32, 64)
    matrix = square_to_crop((64, 64, 128), size_px)

    crop = warp_crop(frame, matrix, size_px)[..., 0].astype(float)

    rows, columns = np.indices(crop.shape) + 0.5
    center = ((crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum())
    expected = transform_points(np.array([[32, 64]], np.float32), matrix)[0]
    assert center == pytest.approx(tuple(expected), abs=0.1)


@pytest.mark.parametrize("num_boxes", [0, 1, 2, 300])
def test_doubles_are_suppressed_as_by_torchvision(num_boxes):
    random = np.random.default_rng(num_boxes)
    corners = random.uniform(0, 60, (num_boxes, 2))
    boxes = np.hstack([corners, corners + random.uniform(1, 40, (num_boxes, 2))])
    boxes_N4, scores_N = boxes.astype(np.float32), random.random(num_boxes).astype(np.float32)

    kept = suppress_doubles(boxes_N4, scores_N, 0.5)

    expected = nms(torch.from_numpy(boxes_N4), torch.from_numpy(scores_N), 0.5)
    assert kept.tolist() == expected.tolist()
