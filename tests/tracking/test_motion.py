import numpy as np
import pytest

from poseact.tracking.motion import MEMORY_S, PRIOR_S2, fit_lines, moments_of, shifted


def walk(times, noise=0.0):
    rng = np.random.default_rng(0)
    boxes = np.array([(100 + 40 * t, 50 - 8 * t, 130 + 40 * t, 140 - 8 * t) for t in times])
    return boxes + rng.normal(0, noise, boxes.shape)


def total(moments_M35):
    return moments_M35.sum(axis=0, keepdims=True)


def test_a_single_box_is_taken_to_rest():
    lines = fit_lines(moments_of(np.array([(10.0, 20, 40, 80)])))

    np.testing.assert_allclose(lines.boxes_M4, [(10, 20, 40, 80)])
    np.testing.assert_allclose(lines.speed_M2, [(0, 0)], atol=1e-9)
    np.testing.assert_allclose(lines.weight_M, [1])
    np.testing.assert_allclose(lines.spread_s2_M, [PRIOR_S2])


def test_a_line_is_the_weighted_least_squares_fit_that_numpy_finds():
    times = np.array([-0.5, -0.3, -0.26, -0.1, 0.0])
    boxes = walk(times, noise=3)
    lines = fit_lines(total(moments_of(boxes, times)))

    weight = np.exp(times / MEMORY_S)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    root = np.sqrt(np.append(weight, PRIOR_S2))[:, None]  # the prior: speed 0
    unknowns = np.append(np.stack((np.ones(5), times), axis=1), [(0, 1)], axis=0)
    (place, speed), *_ = np.linalg.lstsq(root * unknowns, root * np.append(centre, [(0, 0)], 0))
    np.testing.assert_allclose(lines.centre_M2[0], place)
    np.testing.assert_allclose(lines.speed_M2[0], speed)
    sides = np.average(boxes[:, 2:] - boxes[:, :2], axis=0, weights=weight)
    np.testing.assert_allclose(lines.sides_M2[0], sides)


def test_a_walk_seen_for_long_has_its_speed():
    times = np.arange(-50, 1) / 25

    lines = fit_lines(total(moments_of(walk(times), times)))

    # The prior holds it back by its share of the spread: 0.05**2 / 1.4**2 = 0.0013 of about 0.085,
    # for the weights sum to 0.15 * 25 and the age of an exponential memory spreads by 0.15.
    np.testing.assert_allclose(lines.speed_M2, [(40, -8)], rtol=0.03)
    np.testing.assert_allclose(lines.boxes_M4, [(100, 50, 130, 140)], atol=0.3)


@pytest.mark.parametrize("direction", [1, -1], ids=["forward", "backward"])
def test_to_move_now_is_to_count_the_times_from_then(direction):
    times = -direction * np.array([0.4, 0.2, 0.0])
    step_s = direction * 0.3

    np.testing.assert_allclose(
        shifted(moments_of(walk(times), times), step_s),
        moments_of(walk(times), times - step_s),
        atol=1e-12,
    )


def test_lines_go_on_while_nobody_is_found():
    times = np.arange(-50, 1) / 25
    now = total(moments_of(walk(times), times))

    later = fit_lines(shifted(now, 0.1))

    # a tenth of a second after (115, 95), within the 3 % of above
    np.testing.assert_allclose(later.centre_M2, [(119, 94.2)], atol=0.4)
    np.testing.assert_allclose(later.weight_M, fit_lines(now).weight_M * np.exp(-0.1 / MEMORY_S))
