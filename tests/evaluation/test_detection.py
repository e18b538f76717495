from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from poseact.datasets.scenes import LabelledScene
from poseact.evaluation.detection import Matches, match_finds
from poseact.geometry import box_iou
from poseact.models.detection import Detections

PERSON = [10, 10, 30, 60]


def scene(people, ignored=(), size_px=(100, 80)):
    boxes = (np.reshape(np.float32(some), (-1, 4)) for some in (people, ignored))
    people, ignored = boxes
    return LabelledScene(
        path=Path("a.png"), size_px=size_px, boxes_N4=people, ignored_M4=ignored, group="a"
    )


def finds(*boxes, scores=None):
    scores = np.float32(scores or np.linspace(0.9, 0.8, len(boxes)))
    return Detections(boxes_N4=np.reshape(np.float32(boxes), (-1, 4)), scores_N=scores)


def match(people, found, ignored=()):
    return match_finds([scene(people, ignored)], [found])


def matches(scores, hits, num_people, *, on_empty=None, num_empty=0):
    return Matches(
        scores_F=np.float32(scores),
        is_hit_F=np.array(hits, bool),
        is_on_empty_F=np.zeros(len(scores), bool) if on_empty is None else np.array(on_empty, bool),
        heights_F=np.full(len(scores), 0.3, np.float32),
        heights_P=np.full(num_people, 0.3, np.float32),
        num_empty=num_empty,
    )


def test_iou_by_hand():
    iou = box_iou(
        np.float32([[0, 0, 10, 10], [0, 0, 0, 0]]), np.float32([[5, 0, 15, 10], [20, 20, 30, 30]])
    )

    assert iou == pytest.approx(np.float32([[1 / 3, 0], [0, 0]]))


@pytest.mark.parametrize(
    ("found", "hits"),
    [
        pytest.param([[10, 10, 30, 35]], [True], id="half of the person is enough"),
        pytest.param([[10, 10, 30, 34]], [False], id="less is not"),
        pytest.param([PERSON, PERSON], [True, False], id="each person once"),
        pytest.param([[10, 10, 30, 50], PERSON], [True, False], id="the surest, not the best"),
    ],
)
def test_a_find_hits_from_half_of_the_union(found, hits):
    assert match([PERSON], finds(*found)).is_hit_F.tolist() == hits


def test_a_find_takes_the_person_it_overlaps_most():
    close_by = [14, 10, 34, 60]

    got = match([PERSON, close_by], finds([13, 10, 33, 60], [11, 10, 31, 60]))

    assert got.is_hit_F.tolist() == [True, True]


@pytest.mark.parametrize(
    ("found", "hits"),
    [
        pytest.param([50, 10, 70, 50], [], id="half inside the crowd: dropped"),
        pytest.param([50, 9, 70, 50], [False], id="less than half: false"),
        pytest.param([0, 30, 100, 80], [False], id="most of the crowd, but little of itself"),
    ],
)
def test_finds_in_a_crowd_do_not_count(found, hits):
    assert match([], finds(found), ignored=[[40, 30, 90, 60]]).is_hit_F.tolist() == hits


def test_a_person_in_a_crowd_still_counts():
    got = match([PERSON], finds(PERSON, PERSON), ignored=[[0, 0, 100, 80]])

    assert got.is_hit_F.tolist() == [True]


def test_people_below_six_percent_of_the_longer_side_are_neither_hit_nor_missed():
    small, just_large_enough = [10, 10, 13, 15.5], [50, 10, 53, 16]

    got = match([small, just_large_enough], finds(small, just_large_enough))

    assert got.is_hit_F.tolist() == [True]
    assert got.heights_P == pytest.approx([0.06])
    assert not got.num_empty


def test_a_hit_is_as_high_as_the_person_and_a_false_find_as_itself():
    got = match([PERSON], finds([10, 10, 30, 55], [60, 10, 80, 30]))

    assert got.heights_F == pytest.approx([0.5, 0.2])
    report = got.report(0.5)["by_height"]
    assert report[">50"] == {
        "num_people": 1,
        "ap50": 100,
        "precision": 100,
        "recall": 100,
        "threshold": 0.5,
        "false_per_100_empty": None,
    }
    assert report["12-25"]["num_people"] == 0
    assert report["12-25"]["precision"] == 0
    assert report["12-25"]["ap50"] is report["12-25"]["recall"] is None


def test_average_precision_by_hand():
    """Precision 1, 1/2, 2/3 at one and two of four people: 1/4 at 1, 1/4 at 2/3."""
    got = matches([0.9, 0.8, 0.7], [True, False, True], 4)

    assert got.average_precision() == pytest.approx(100 * (1 / 4 + 2 / 3 / 4))


def test_a_later_gain_in_precision_counts_for_lower_recall_too():
    """Precision 0, 1/2, 2/3: both people at 2/3."""
    assert matches([0.9, 0.8, 0.7], [False, True, True], 2).average_precision() == pytest.approx(
        200 / 3
    )


def test_finds_of_equal_score_count_together_whatever_their_order():
    for hits in ([True, False], [False, True]):
        assert matches([0.5, 0.5], hits, 1).average_precision() == 50


def test_average_precision_agrees_with_the_curve_of_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 30, 60).astype(np.float32) / 30
        hits = rng.random(60) < scores
        missed = int(rng.integers(0, 20))
        num_people = int(hits.sum()) + missed
        precision, recall, _ = precision_recall_curve(hits, scores)
        recall = recall * hits.sum() / num_people
        # the best precision at this recall or a higher one, one person at a time
        steps = [(person + 0.5) / num_people for person in range(num_people)]
        expected = [precision[recall > step].max(initial=0) for step in steps]

        got = matches(scores, hits, num_people).average_precision()

        assert got == pytest.approx(100 * np.mean(expected))


def test_figures_at_a_threshold_by_hand():
    got = matches(
        [0.9, 0.8, 0.7, 0.6],
        [True, False, True, False],
        4,
        on_empty=[False, True, False, False],
        num_empty=50,
    )

    assert got.at(0.7) == {
        "precision": pytest.approx(200 / 3),
        "recall": 50,
        "threshold": 0.7,
        "false_per_100_empty": 2,
    }
    assert got.at(0.95)["precision"] is None


def test_the_best_threshold_has_the_best_f1():
    """F1 is 2/5, 2/6, 4/7, 6/8, 6/9 from the surest find down."""
    got = matches([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, True, False], 4)

    assert got.best_threshold() == np.float32(0.6)


@pytest.mark.parametrize(
    ("most_false", "threshold"),
    [
        pytest.param(10, 0.6, id="two in twenty allowed"),
        pytest.param(9, 0.7, id="one in twenty"),
        pytest.param(0, 0.9, id="none"),
    ],
)
def test_the_threshold_keeps_to_what_is_allowed_in_empty_pictures(most_false, threshold):
    got = matches(
        [0.9, 0.8, 0.7, 0.65, 0.6],
        [True, False, True, False, True],
        4,
        on_empty=[False, True, False, True, False],
        num_empty=20,
    )

    assert got.best_threshold(max_false_per_100_empty=most_false) == np.float32(threshold)


def test_no_score_is_good_enough_if_the_surest_find_is_too_much():
    got = matches([0.9, 0.8], [False, True], 1, on_empty=[True, False], num_empty=1)

    threshold = got.best_threshold(max_false_per_100_empty=50)

    assert threshold > np.float32(0.9)
    assert got.at(threshold)["false_per_100_empty"] == 0


def test_no_finds_give_figures_too():
    got = match([PERSON], finds(scores=[]))

    assert got.average_precision() == 0
    assert got.report(0.5)["recall"] == 0
    assert match([], finds(scores=[])).average_precision() is None


def test_false_people_in_empty_pictures_are_told_from_others():
    got = match_finds(
        [scene([]), scene([PERSON]), scene([])],
        [finds([1, 1, 9, 9]), finds([60, 1, 90, 60]), finds(scores=[])],
    )

    assert got.num_empty == 2
    assert got.at(0.5)["false_per_100_empty"] == 50
