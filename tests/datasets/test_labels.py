import numpy as np
import pytest

from poseact.datasets.labels import choose_held_out, class_names, name_a_side
from poseact.errors import InputError


def test_other_is_a_class_whether_named_or_not():
    assert class_names(["kick", "other", "bow"]) == ("bow", "kick", "other")
    assert class_names(["kick"]) == ("kick", "other")


def split(rows, share=0.3, seed=0):
    """Hold out some of the rows, each written as a group and a label; return those held out."""
    groups_N, labels_N = np.array([row[0] for row in rows]), np.array([int(row[1]) for row in rows])
    is_out_N = choose_held_out(labels_N, groups_N, share=share, seed=seed)
    return [row for row, is_out in zip(rows, is_out_N, strict=True) if is_out]


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_whole_and_every_class_is_learnt_and_measured(seed):
    rows = ["a0", "a1", "b0", "b1", "c0", "c0", "d0", "d2", "e0", "e2", "f0", "f0"]

    out = split(rows, seed=seed)

    left = [row for row in rows if row not in out]
    assert {row[0] for row in out}.isdisjoint({row[0] for row in left})
    assert {row[1] for row in out} == {row[1] for row in left} == {"0", "1", "2"}


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_one_group_is_learnt(seed):
    out = split(["a0", "a1", "b0", "c0", "d0"], seed=seed)

    assert out
    assert "a1" not in out


def test_about_the_share_asked_for_is_held_out():
    rows = [f"{group}0" for group in "abcdefghij" for _ in range(5)]

    assert len(split(rows, share=0.3)) == 15
    assert len(split(rows, share=0.01)) == 5


@pytest.mark.parametrize("rows", [["a0", "a1"], ["a0", "b1"]], ids=["one group", "one class each"])
def test_what_cannot_be_split_is_refused(rows):
    with pytest.raises(InputError, match="in at least two videos"):
        split(rows)


def test_classes_that_name_a_side_are_found():
    names = ["Right-hand wave", "bright light", "turn_left", "leftover", "clockwise", "other"]

    assert name_a_side(names) == ["Right-hand wave", "turn_left", "clockwise"]
