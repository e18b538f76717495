import numpy as np
import pytest

from poseact.models.calibration import Calibration


def test_confidences_become_the_share_that_is_right():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.02, 0.98, 20_000)
    is_right = rng.uniform(size=len(truth)) < truth
    too_timid = 1 / (1 + np.exp(-(0.5 * np.log(truth / (1 - truth)) - 1)))

    calibration = Calibration.fit(too_timid.astype(np.float32), is_right)

    assert (calibration.slope, calibration.offset) == pytest.approx((2, 2), abs=0.1)
    np.testing.assert_allclose(calibration.apply(np.float32(too_timid)), truth, atol=0.02)


def test_order_and_range_are_kept():
    calibrated = Calibration(slope=0.7, offset=2.0).apply(np.float32([0, 0.2, 0.9, 1]))

    assert (np.diff(calibrated) > 0).all()
    assert 0 < calibrated[0] < calibrated[-1] < 1


def test_one_kind_of_answer_alone_changes_nothing():
    confidence = np.float32([0.2, 0.7])

    calibration = Calibration.fit(confidence, np.array([True, True]))

    np.testing.assert_allclose(calibration.apply(confidence), confidence, atol=1e-6)
