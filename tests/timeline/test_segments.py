from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from poseact.errors import ConfigError
from poseact.timeline.segments import (
    Segment,
    SegmentRules,
    segment_id,
    segment_row,
    segments_from_scores,
    smooth_scores,
)

NAN = float("nan")
BARE = SegmentRules(min_duration_s=0, merge_gap_s=0, min_mean_score=0)


def find(scores, pts_s=None, rules=BARE, actions=("hello",), frame_index=None, **more):
    scores_TA = np.float32(scores).reshape(-1, len(actions))
    pts_s_T = np.arange(len(scores_TA), dtype=float) if pts_s is None else np.float64(pts_s)
    index_T = np.arange(len(scores_TA)) if frame_index is None else np.array(frame_index)
    return segments_from_scores(scores_TA, pts_s_T, actions, rules, frame_index_T=index_T, **more)


def spans(segments):
    return [(found.start_s, found.end_s) for found in segments]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([], [], id="no frames"),
        pytest.param([0.1, 0.5, 0.59], [], id="never on"),
        pytest.param([0.1, 0.7, 0.9, 0.1], [(1, 3)], id="one run, end is exclusive"),
        pytest.param([0.6, 0.1], [(0, 1)], id="exactly on starts"),
        pytest.param([0.7, 0.4, 0.39], [(0, 2)], id="exactly off goes on"),
        pytest.param([0.7, 0.5, 0.5, 0.7, 0.1], [(0, 4)], id="hovering between is one run"),
        pytest.param([0.7, 0.1, 0.5, 0.7], [(0, 1), (3, 4)], id="on again only above on"),
        pytest.param([0.5, 0.5, 0.7], [(2, 3)], id="hovering before does not count"),
        pytest.param([0.1, 0.7], [(1, 2)], id="still open ends one step after the last frame"),
        pytest.param([0.7, NAN, 0.7, 0.7], [(0, 1), (2, 4)], id="leaving view ends it"),
        pytest.param([0.7, NAN, 0.5, 0.5], [(0, 1)], id="coming back starts anew"),
        pytest.param([NAN, NAN], [], id="nobody"),
    ],
)
def test_hysteresis(scores, expected):
    assert spans(find(scores)) == expected


@pytest.mark.parametrize(
    ("scores", "pts_s", "expected"),
    [
        pytest.param(
            [0.1, 0.9, 0.9, 0.1, 0.9],
            [0, 0.1, 2.0, 2.5, 9.0],
            # the steps are 0.1, 1.9, 0.5 and 6.5: median 1.2
            [(0.1, 2.5), (9.0, pytest.approx(10.2))],
            id="irregular frames",
        ),
        pytest.param([0.9, 0.1], [100.0, 100.04], [(100.0, 100.04)], id="does not begin at zero"),
        pytest.param([0.9], [3.0], [(3.0, 3.0)], id="a single frame has no length"),
    ],
)
def test_time_is_presentation_time(scores, pts_s, expected):
    assert spans(find(scores, pts_s)) == expected


@pytest.mark.parametrize(
    ("merge_gap_s", "expected"),
    [
        pytest.param(0, [(0, 1), (2, 3), (5, 6)], id="none"),
        pytest.param(0.9, [(0, 1), (2, 3), (5, 6)], id="gaps are longer"),
        pytest.param(1, [(0, 3), (5, 6)], id="a gap just as long"),
        pytest.param(2, [(0, 6)], id="both gaps"),
    ],
)
@pytest.mark.parametrize("gap", [0.1, NAN], ids=["not acting", "not seen"])
def test_short_gaps_are_merged(merge_gap_s, expected, gap):
    rules = SegmentRules(min_duration_s=0, merge_gap_s=merge_gap_s, min_mean_score=0)

    assert spans(find([0.7, gap, 0.7, gap, gap, 0.9, gap], rules=rules)) == expected


@pytest.mark.parametrize(
    ("min_duration_s", "merge_gap_s", "expected"),
    [
        pytest.param(2, 0, [(3, 5)], id="exactly long enough"),
        pytest.param(2.1, 0, [], id="too short"),
        pytest.param(3, 2, [(0, 5)], id="merged first, then measured"),
    ],
)
def test_short_segments_are_dropped(min_duration_s, merge_gap_s, expected):
    rules = SegmentRules(min_duration_s=min_duration_s, merge_gap_s=merge_gap_s, min_mean_score=0)

    assert spans(find([0.7, 0.1, 0.1, 0.7, 0.7, 0.1], rules=rules)) == expected


def test_half_a_second_is_half_a_second_in_floats():
    assert 0.7 - 0.2 < 0.5
    pts_s = [0.2, 0.7, 0.8]

    assert spans(find([0.9, 0.1, 0.1], pts_s, SegmentRules())) == [(0.2, 0.7)]


def test_every_field_of_a_segment():
    got = find([0.1, 0.7, 0.9, 0.5, 0.1], [0, 1, 3, 4, 6], frame_index=[50, 52, 54, 56, 58])

    assert got == [
        Segment(
            action="hello",
            start_s=1,
            end_s=6,
            start_frame=52,
            end_frame=58,
            peak_score=pytest.approx(0.9),
            mean_score=pytest.approx(0.7),
            peak_s=3,
            severity="alert",
        )
    ]


def test_peak_and_mean_skip_the_frames_of_a_merged_gap():
    (got,) = find([0.7, NAN, 0.9], rules=SegmentRules(merge_gap_s=1))

    assert (got.peak_score, got.mean_score) == (pytest.approx(0.9), pytest.approx(0.8))


def test_the_last_frame_ends_at_the_next_index():
    (got,) = find([0.1, 0.9], frame_index=[10, 12])

    assert (got.start_frame, got.end_frame) == (12, 13)


@pytest.mark.parametrize(("last", "is_kept"), [(0.8, True), (0.7, False)])
def test_segments_that_hover_are_dropped(last, is_kept):
    rules = SegmentRules(min_duration_s=0, merge_gap_s=0, min_mean_score=0.74)

    assert len(find([0.7, last], rules=rules)) == is_kept


def test_an_alert_needs_the_alert_score():
    rules = SegmentRules(min_duration_s=0, merge_gap_s=0, alert_score=0.8)

    got = find([0.79, 0.1, 0.8], rules=rules)

    assert [found.severity for found in got] == ["detection", "alert"]


def test_actions_may_overlap_and_come_by_start_then_name():
    scores = [[0.9, 0.1, 0.9], [0.9, 0.9, 0.9], [0.1, 0.9, 0.9]]

    got = find(scores, actions=("namaste", "hello", "fall"))

    assert [(found.action, found.start_s, found.end_s) for found in got] == [
        ("fall", 0, 3),
        ("namaste", 0, 2),
        ("hello", 1, 3),
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, ["hello"], id="other is never a segment"),
        pytest.param({"ignore": ("hello",)}, ["other"], id="as asked"),
        pytest.param({"ignore": ()}, ["hello", "other"], id="nothing ignored"),
    ],
)
def test_ignored_actions(more, expected):
    got = find([[0.9, 0.9]], actions=("hello", "other"), **more)

    assert [found.action for found in got] == expected


@pytest.mark.parametrize(
    ("shape", "pts_s", "index"),
    [
        pytest.param((3, 1), [0, 1], [0, 1], id="one score too many"),
        pytest.param((2, 2), [0, 1], [0, 1], id="one action too many"),
        pytest.param((2, 1), [0, 1], [0], id="one index too few"),
        pytest.param((2, 1), [1, 1], [0, 1], id="time stands still"),
        pytest.param((2, 1), [1, 0], [0, 1], id="time runs backwards"),
    ],
)
def test_inputs_that_disagree_are_refused(shape, pts_s, index):
    with pytest.raises(ValueError, match=r"need scores|must increase"):
        segments_from_scores(
            np.zeros(shape, np.float32),
            np.float64(pts_s),
            ["hello"],
            BARE,
            frame_index_T=np.array(index),
        )


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"on": 0.3}, id="off above on"),
        pytest.param({"on": 1.1}, id="on above 1"),
        pytest.param({"off": -0.1}, id="off below 0"),
        pytest.param({"alert_score": 2}, id="alert above 1"),
        pytest.param({"min_mean_score": -0.1}, id="mean below 0"),
        pytest.param({"min_score": -0.1}, id="least score below 0"),
        pytest.param({"min_trunk_confidence": 1.5}, id="confidence above 1"),
        pytest.param({"min_duration_s": -1}, id="negative duration"),
        pytest.param({"merge_gap_s": NAN}, id="gap is not a number"),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError):
        SegmentRules(**settings)


def test_a_row_has_wall_clock_times():
    start = datetime(2024, 5, 1, 12, tzinfo=UTC)
    (found,) = find([0.1, 0.9])

    row = segment_row(
        found,
        video_id="v",
        track_id=3,
        hand=None,
        start_utc=start,
        rules=BARE,
        config_hash="c",
        model_id="m",
    )

    assert row["start_utc"] == start + timedelta(seconds=1)
    assert row["end_utc"] == start + timedelta(seconds=2)
    assert row["segment_id"] == segment_id("v", 3, "hello", 1)
    assert "on=0.6 off=0.4" in row["rule"]


def test_ids_of_segments_are_stable_and_differ():
    ids = [
        segment_id("v", 1, "hello", 10),
        segment_id("w", 1, "hello", 10),
        segment_id("v", 2, "hello", 10),
        segment_id("v", 1, "namaste", 10),
        segment_id("v", 1, "hello", 11),
    ]

    assert len(set(ids)) == 5
    assert ids[0] == "5a3470035fc92d27"  # verdicts of earlier runs hang on it


@pytest.mark.parametrize(
    ("scores", "pts_s", "window_s", "expected"),
    [
        pytest.param([0, 1, 0, 0], [0, 1, 2, 3], 2, [1 / 2, 1 / 3, 1 / 3, 0], id="three frames"),
        pytest.param([0, 1, 0, 0], [0, 1, 2, 3], 0, [0, 1, 0, 0], id="no window, no change"),
        pytest.param([0, 1, 0], [0, 0.1, 5], 2, [0.5, 0.5, 0], id="time counts, not frames"),
        pytest.param([1, NAN, 0], [0, 1, 2], 2, [1, NAN, 0], id="nobody stays nobody"),
        pytest.param([1, NAN, 0], [0, 1, 2], 4, [0.5, NAN, 0.5], id="nobody weighs nothing"),
        pytest.param([], [], 1, [], id="no frames"),
    ],
)
def test_smoothing(scores, pts_s, window_s, expected):
    got = smooth_scores(np.float32(scores)[:, None], np.float64(pts_s), window_s)

    np.testing.assert_allclose(got[:, 0], np.float32(expected), atol=1e-6)


def test_a_constant_score_stays_what_it_is_at_irregular_times():
    rng = np.random.default_rng(0)
    pts_s = np.cumsum(rng.uniform(0.01, 0.2, 2000))
    scores = np.full((2000, 2), [0.6, 0.4], np.float32)
    scores[rng.random(2000) < 0.1] = np.nan

    np.testing.assert_array_equal(smooth_scores(scores, pts_s, 0.3), scores)
