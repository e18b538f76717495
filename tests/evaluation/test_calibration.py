import numpy as np
import pytest

from poseact.evaluation.calibration import expected_calibration_error


def test_scores_that_come_true_have_no_error():
    score = np.repeat([0.2, 0.8], 150)
    is_right = np.tile([True, False, False, False, False], 30).tolist()
    is_right += np.tile([False, True, True, True, True], 30).tolist()

    assert expected_calibration_error(score, np.array(is_right)) == pytest.approx(0)


def test_certainty_that_is_right_half_the_time_is_half_wrong():
    assert expected_calibration_error(np.ones(60), np.arange(60) % 2 == 0) == pytest.approx(0.5)
