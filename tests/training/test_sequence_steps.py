import dataclasses

import numpy as np
import pytest
import torch

from poseact.datasets.sequences import ActionSequence, ActionSequences
from poseact.models.action import ActionClassifier
from poseact.skeleton import L_WRIST, R_WRIST
from poseact.training.action_epochs import fit, new_net, train_epoch
from poseact.training.sequence_steps import (
    SequenceRecipe,
    augment_windows,
    draw_windows,
    whole_windows,
)

HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
CLASSES = ("down", "up", "other")
WHOLE = SequenceRecipe(epochs=15, batch_size=4, is_whole=True, samples=16)


def hand_moves(label, start_s=0.0, duration_s=2.0, joint=R_WRIST):
    """A right hand that goes up or down at an even pace: single frames do not tell which."""
    pts_s_T = start_s + np.arange(0, duration_s + 1e-9, 0.1)
    height_T = 6 - 12 * (pts_s_T - start_s) / duration_s
    joints_TJ3 = np.ones((len(pts_s_T), 7, 3), np.float32)
    joints_TJ3[..., :2] = HANGING
    joints_TJ3[:, joint, 1] = height_T if label == 1 else height_T[::-1]
    return ActionSequence(joints_TJ3=joints_TJ3, pts_s_T=pts_s_T, label=label, group="anna")


def both_ways(count=16, **changed):
    durations_s = np.random.default_rng(0).uniform(1.5, 3, count)
    sequences = [
        hand_moves(index % 2, duration_s=duration_s, **changed)
        for index, duration_s in enumerate(durations_s)
    ]
    return ActionSequences(sequences=tuple(sequences), classes=CLASSES)


def answers_of(data, asked, recipe):
    classifier = ActionClassifier(fit(data, recipe), recipe.shape, CLASSES, "test")
    return recipe.answers(classifier, asked)


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(WHOLE, id="whole sequences"),
        pytest.param(dataclasses.replace(WHOLE, is_whole=False), id="windows of a second"),
        pytest.param(dataclasses.replace(WHOLE, is_whole=False, causal=True), id="causal"),
    ],
)
def test_two_ways_through_the_same_poses_are_told_apart(recipe):
    unseen = ActionSequences(
        sequences=(hand_moves(1, 7.0, 1.7), hand_moves(0, 3.0, 2.6)), classes=CLASSES
    )

    labels, scores = answers_of(both_ways(), unseen, recipe)

    is_right = scores.argmax(axis=1) == labels
    # a window that ends at the first frame shows a hand that keeps still
    assert is_right.mean() > (0.7 if recipe.causal else 0.95)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert (scores[:, 2] < 0.05).all()  # nothing was ever called other


def test_mirroring_teaches_the_other_hand():
    recipe = dataclasses.replace(WHOLE, mirror=True)
    left = both_ways(8, joint=L_WRIST)

    labels, scores = answers_of(both_ways(), left, recipe)

    assert scores.argmax(axis=1).tolist() == labels.tolist() == left.labels_N.tolist()


def test_a_resumed_run_ends_as_an_unbroken_one():
    data, recipe = both_ways(9), dataclasses.replace(WHOLE, epochs=4)
    unbroken = fit(data, recipe)

    net = new_net(recipe, 3)
    optimizer = recipe.new_optimizer(net)
    for epoch in (0, 1):
        train_epoch(net, optimizer, data, recipe, epoch)
    again = new_net(dataclasses.replace(recipe, seed=99), 3)
    again.load_state_dict(net.state_dict())
    optimizer_again = recipe.new_optimizer(again)
    optimizer_again.load_state_dict(optimizer.state_dict())
    torch.rand(5)  # the caller's chance changes nothing
    for epoch in (2, 3):
        train_epoch(again, optimizer_again, data, recipe, epoch)

    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_a_whole_sequence_is_one_window_from_its_first_frame_to_its_last():
    data = ActionSequences(sequences=(hand_moves(1, 5.0), hand_moves(1, 0.0, 3.0)), classes=CLASSES)

    windows = whole_windows(data, samples=4)

    np.testing.assert_allclose(windows[..., R_WRIST, 1], [[6, 2, -2, -6]] * 2, atol=1e-5)


def test_whole_windows_differ_in_their_ends_and_pace():
    rng = np.random.default_rng(0)
    height = np.concatenate(
        [draw_windows(hand_moves(1), WHOLE, rng)[..., R_WRIST, 1] for _ in range(200)]
    )

    assert height.shape == (200, 16)
    assert (np.diff(height, axis=1) < 0).all()  # never back in time
    assert height[:, 0].min() > 6 - 0.1 * 12
    assert height[:, -1].max() < -6 + 0.1 * 12
    assert 0.3 < np.std((height[:, 7] + height[:, 8]) / 2) < 1.2


@pytest.mark.parametrize("causal", [False, True])
def test_windows_of_real_time_are_as_many_as_fit_and_about_as_long_as_asked(causal):
    recipe = dataclasses.replace(WHOLE, is_whole=False, causal=causal)
    rng = np.random.default_rng(0)

    drawn = [draw_windows(hand_moves(1, 0, 20), recipe, rng) for _ in range(20)]

    assert {len(windows) for windows in drawn} == {20}
    height = np.concatenate(drawn)[..., R_WRIST, 1]
    # the hand moves by 0.6 a second, except before the first and after the last frame
    inside = np.abs(height[:, [0, -1]]).max(axis=1) < 5.99
    length_s = (height[inside, 0] - height[inside, -1]) / 0.6
    assert 0.81 < length_s.min() < 0.9
    assert 1.1 < length_s.max() < 1.23
    is_held_at_end = height[:, -1] == height[:, -2]
    assert is_held_at_end.any() == (not causal)


def test_augmentation_keeps_the_person_and_changes_every_window():
    windows = np.repeat(whole_windows(both_ways(2), 16), 100, axis=0) * 30 + 100
    before = windows.copy()
    windows[0, 3, R_WRIST, :2] = np.nan

    got = augment_windows(windows, np.random.default_rng(0), WHOLE)

    np.testing.assert_array_equal(windows[1:], before[1:])
    assert got.dtype == np.float32
    assert np.isnan(got[0, 3, R_WRIST, :2]).all()
    assert np.isnan(got).sum() == 2
    error = got[1:, ..., :2] - (windows[1:, ..., :2] - 100) / 300  # the body scale is 10 * 30
    assert (np.abs(error).max(axis=(1, 2, 3)) > 0.01).all()
    assert 0.01 < np.median(np.abs(error)) < 0.08
    assert len(np.unique(got[1:, 0, 0, 0])) == 199


def test_mirrored_windows_are_half_of_them():
    windows = np.repeat(whole_windows(both_ways(2), 16)[1:], 400, axis=0)

    got = augment_windows(
        windows, np.random.default_rng(0), dataclasses.replace(WHOLE, mirror=True)
    )

    is_left_moving = np.ptp(got[:, :, L_WRIST, 1], axis=1) > 0.6
    is_right_moving = np.ptp(got[:, :, R_WRIST, 1], axis=1) > 0.6
    assert (is_left_moving != is_right_moving).all()
    assert 0.4 < is_left_moving.mean() < 0.6
