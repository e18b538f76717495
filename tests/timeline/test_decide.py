from typing import get_args

import numpy as np
import pytest

from poseact.timeline.decide import REASONS, Reason, decide

NAN = float("nan")
ACTIONS = ("namaste", "hello", "other")
CLEAR, UNCLEAR = True, False


@pytest.mark.parametrize(
    ("scores", "is_clear", "action", "score", "reason"),
    [
        pytest.param([0.1, 0.8, 0.1], CLEAR, "hello", 0.8, None, id="an action"),
        pytest.param([0.5, 0.3, 0.2], CLEAR, "namaste", 0.5, None, id="just enough"),
        pytest.param([0.3, 0.45, 0.25], CLEAR, "other", 0.25, "low_score", id="too low"),
        pytest.param([0.3, 0.3, 0.4], CLEAR, "other", 0.4, None, id="other stands at any score"),
        pytest.param([0, 0, 1], UNCLEAR, "other", 1, "low_pose_confidence", id="not made out"),
        pytest.param(
            [0.3, 0.4, 0.3], UNCLEAR, "other", 0.3, "low_pose_confidence", id="the cause goes first"
        ),
        pytest.param([0.1, 0.8, 0.1], UNCLEAR, "hello", 0.8, None, id="neighbours vouch for it"),
        pytest.param([NAN] * 3, UNCLEAR, "", NAN, "no_person", id="nobody"),
    ],
)
def test_what_a_row_says(scores, is_clear, action, score, reason):
    got = decide(np.float32([scores]), np.array([is_clear]), ACTIONS, min_score=0.5)

    assert (got.action_N[0], got.reason_N[0]) == (action, reason)
    assert got.score_N[0] == pytest.approx(score, nan_ok=True)


def test_rows_are_decided_one_by_one():
    scores_NA = np.float32([[NAN] * 3, [0, 0.9, 0.1], [0.4, 0.3, 0.3]])

    got = decide(scores_NA, np.array([UNCLEAR, CLEAR, CLEAR]), ACTIONS, min_score=0.5)

    assert got.action_N.tolist() == ["", "hello", "other"]
    assert got.reason_N.tolist() == ["no_person", None, "low_score"]
    assert set(got.reason_N) - {None} <= set(REASONS)
    assert get_args(Reason) == REASONS


def test_no_rows_need_no_decision():
    got = decide(np.empty((0, 3), np.float32), np.empty(0, bool), ACTIONS, min_score=0.5)

    assert (len(got.action_N), len(got.score_N), len(got.reason_N)) == (0, 0, 0)
