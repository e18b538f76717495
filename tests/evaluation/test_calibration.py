import numpy as np
import pytest

from poseact.evaluation.calibration import (
    Bin,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def test_scores_that_come_true_have_no_error():
    score = np.repeat([0.2, 0.8], 150)
    is_right = np.tile([True, False, False, False, False], 30).tolist()
    is_right += np.tile([False, True, True, True, True], 30).tolist()

    assert expected_calibration_error(score, np.array(is_right)) == pytest.approx(0)


def test_certainty_that_is_right_half_the_time_is_half_wrong():
    assert expected_calibration_error(np.ones(60), np.arange(60) % 2 == 0) == pytest.approx(0.5)


def test_bins_hold_equally_many_answers_and_tell_what_came_true():
    score = np.linspace(0, 1, 30)

    bins = reliability(score, score > 0.5)

    assert [one.count for one in bins] == [2] * 15
    assert bins[0] == Bin(count=2, score=pytest.approx(0.5 / 29), right=0)
    assert [one.right for one in bins] == [0] * 7 + [0.5] + [1] * 7


def test_few_answers_fill_few_bins():
    assert len(reliability(np.array([0.4, 0.6]), np.array([True, False]))) == 2


def test_brier_score_by_hand():
    scores = np.array([[0.8, 0.2, 0.0], [0.5, 0.25, 0.25]])

    # squares 0.04, 0.04, 0 of the first, and 0.25, 0.5625, 0.0625 of the second
    assert brier_score(np.array([0, 1]), scores) == pytest.approx((0.08 + 0.875) / 2)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_a_model_was_off_by_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(20_000, 3))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((20_000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    claimed = np.exp(logits * temperature)
    claimed = (claimed / claimed.sum(axis=1, keepdims=True)).astype(np.float32)

    assert fit_temperature(labels, claimed) == pytest.approx(temperature, rel=0.05)


def test_answers_without_an_error_do_not_make_scores_more_certain():
    scores = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)

    assert fit_temperature(np.array([0, 1]), scores) == 1
