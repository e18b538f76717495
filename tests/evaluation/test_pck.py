import numpy as np
import pytest

from poseact.evaluation.pck import PoseErrors, coordinate_errors, observer_centric, swap_rate
from poseact.skeleton import HEAD, L_SHOULDER, L_WRIST, R_SHOULDER, R_WRIST


def poses(*shifts_px, count=1):
    """True joints at the origin and predictions shifted along x, person by person."""
    true = np.zeros((count, 7, 2), np.float32)
    found = true.copy()
    for person, joint, shift in shifts_px:
        found[person, joint, 0] = shift
    return found, true


def test_pck_counts_joints_within_the_share_of_the_torso():
    found, true = poses((0, L_WRIST, 21), (1, R_WRIST, 19), (1, HEAD, 100), count=2)

    pck = PoseErrors.measure(found, true, np.float32([100, 100])).pck(0.2)

    assert pck["wrist"] == 75
    assert pck["head"] == 50
    assert pck["elbow"] == pck["shoulder"] == 100
    assert pck["mean"] == pytest.approx((50 + 100 + 100 + 50 + 100 + 100 + 100) / 7)


def test_the_torso_of_each_person_counts():
    found, true = poses((0, HEAD, 15), (1, HEAD, 15), count=2)

    assert PoseErrors.measure(found, true, np.float32([100, 50])).pck(0.2)["head"] == 50


def test_joints_without_a_label_count_neither_way():
    found, true = poses((0, HEAD, 100), count=2)
    true[0, HEAD] = np.nan

    assert PoseErrors.measure(found, true, np.float32([1, 1])).pck(0.2)["head"] == 100


def test_a_perfect_model_has_the_whole_area():
    found, true = poses()

    assert PoseErrors.measure(found, true, np.float32([10])).auc() == 100


def test_the_interval_holds_the_mean_and_narrows_with_people():
    rng = np.random.default_rng(0)
    few, many = (
        PoseErrors(distance_PJ=rng.uniform(0, 0.4, (count, 7)).astype(np.float32))
        for count in (20, 2000)
    )

    for errors in (few, many):
        low, high = errors.interval(0.2)
        assert low < errors.pck(0.2)["mean"] < high
    assert np.ptp(many.interval(0.2)) < np.ptp(few.interval(0.2)) / 5


def test_observer_centric_swaps_only_people_seen_from_behind():
    facing = np.zeros((1, 7, 2), np.float32)
    facing[0, L_SHOULDER, 0], facing[0, R_SHOULDER, 0] = 10, 5
    behind = facing[:, [6, 5, 4, 3, 2, 1, 0]]

    swapped = observer_centric(np.concatenate([facing, behind]))

    np.testing.assert_array_equal(swapped[0], facing[0])
    np.testing.assert_array_equal(swapped[1], facing[0])


def test_coordinate_errors_by_hand():
    true = np.zeros((2, 7, 2), np.float32)
    true[1] = 10
    found = true.copy()
    found[0, 0] = (3, 4)

    errors = coordinate_errors(found, true)

    assert errors["mean_error_px"] == pytest.approx(5 / 14)
    assert errors["median_error_px"] == 0
    assert errors["mse_px2"] == pytest.approx(25 / 28)
    assert errors["r2"] == pytest.approx(1 - (25 / 28) / 25)


def test_a_person_who_fits_better_mirrored_counts_as_swapped():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 100, (4, 7, 2)).astype(np.float32)
    found = true.copy()
    found[0] = found[0, ::-1]

    assert swap_rate(found, true) == 25
