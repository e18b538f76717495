import numpy as np
import pytest
import torch
from torch import nn

from poseact.models.temporal import TemporalNet, has_body, resample, windows
from poseact.skeleton import HEAD, L_WRIST, R_SHOULDER, R_WRIST

HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)


def stand(count):
    """A person who stands still, fully seen, (T, 7, 3)."""
    joints_TJ3 = np.ones((count, 7, 3), np.float32)
    joints_TJ3[..., :2] = HANGING
    return joints_TJ3


def move_wrist(x_T, joint=R_WRIST):
    joints_TJ3 = stand(len(x_T))
    joints_TJ3[:, joint, 0] = x_T
    return joints_TJ3


@pytest.mark.parametrize(
    ("pts_s", "time_s", "expected"),
    [
        pytest.param((1.0, 1.4), 1.1, 2.0, id="between two frames on the line"),
        pytest.param((1.0, 1.5), 1.25, 4.0, id="half a second is bridged"),
        pytest.param((1.0, 1.6), 1.2, 0.0, id="across a longer gap the nearer frame, before"),
        pytest.param((1.0, 1.6), 1.4, 8.0, id="or after"),
        pytest.param((1.0, 1.4), 0.0, 0.0, id="before the first frame the first"),
        pytest.param((1.0, 1.4), 9.0, 8.0, id="after the last frame the last"),
    ],
)
def test_a_joint_at_any_time(pts_s, time_s, expected):
    joints_TJ3 = move_wrist([0, 8])

    got = resample(joints_TJ3, np.array(pts_s), np.array([time_s]))

    np.testing.assert_allclose(got[0, R_WRIST], [expected, 6, 1], rtol=1e-5)
    np.testing.assert_allclose(got[0, 0], [4, 6, 1], rtol=1e-5)


def test_a_joint_that_one_frame_does_not_see_is_that_of_the_nearer_frame():
    joints_TJ3 = move_wrist([0, 8])
    joints_TJ3[1, R_WRIST] = np.nan, np.nan, 0

    got = resample(joints_TJ3, np.array([0.0, 0.4]), np.array([0.1, 0.3]))

    np.testing.assert_array_equal(got[:, R_WRIST], [[0, 6, 1], [np.nan, np.nan, 0]])
    assert np.isfinite(got[:, :R_WRIST]).all()


def test_at_the_times_of_the_frames_nothing_changes():
    rng = np.random.default_rng(0)
    joints_TJ3 = rng.normal(size=(50, 7, 3)).astype(np.float32)
    joints_TJ3[rng.random((50, 7)) < 0.2] = np.nan
    pts_s_T = rng.uniform(0.01, 0.8, 50).cumsum()

    np.testing.assert_array_equal(resample(joints_TJ3, pts_s_T, pts_s_T), joints_TJ3)


def test_a_single_frame_stands_for_all_times():
    got = windows(stand(1), np.array([3.0]), window_s=1, samples=4, causal=False)

    np.testing.assert_array_equal(got, np.repeat(stand(1)[None], 4, axis=1))


@pytest.mark.parametrize(
    ("causal", "expected"),
    [
        pytest.param(False, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]], id="around the frame"),
        pytest.param(True, [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]], id="up to the frame"),
    ],
)
def test_every_frame_has_a_window_of_real_time(causal, expected):
    joints_TJ3, pts_s_T = move_wrist(np.arange(4)), 5 + 0.25 * np.arange(4)

    got = windows(joints_TJ3, pts_s_T, window_s=0.5, samples=3, causal=causal)

    np.testing.assert_allclose(got[..., R_WRIST, 0], expected, atol=1e-5)


def test_windows_do_not_depend_on_the_frame_rate():
    slow_T, fast_T = np.arange(0, 3.01, 0.1), np.arange(0, 3.01, 0.025)

    slow = windows(move_wrist(slow_T), slow_T, window_s=1, samples=16, causal=False)
    fast = windows(move_wrist(fast_T), fast_T, window_s=1, samples=16, causal=False)

    np.testing.assert_allclose(fast[::4], slow, atol=1e-5)


def test_a_causal_window_knows_nothing_of_later_frames():
    rng = np.random.default_rng(0)
    joints_TJ3 = rng.normal(size=(40, 7, 3)).astype(np.float32)
    changed_TJ3 = joints_TJ3.copy()
    changed_TJ3[25:] += 1
    pts_s_T = rng.uniform(0.02, 0.1, 40).cumsum()

    before = windows(joints_TJ3, pts_s_T, window_s=1, samples=16, causal=True)
    after = windows(changed_TJ3, pts_s_T, window_s=1, samples=16, causal=True)

    np.testing.assert_array_equal(after[:25], before[:25])
    assert (after[25] != before[25]).any()


def test_a_window_has_a_body_if_shoulders_and_head_are_once_seen_together():
    windows_BSJ3 = np.stack([stand(4)] * 3)
    windows_BSJ3[1, 1:, HEAD, :2] = np.nan
    windows_BSJ3[1, :, L_WRIST, :2] = np.nan
    windows_BSJ3[2, :2, HEAD, :2] = np.nan
    windows_BSJ3[2, 2:, R_SHOULDER, :2] = np.nan

    assert has_body(windows_BSJ3).tolist() == [True, True, False]


@pytest.fixture(scope="module")
def moving():
    """Ten windows of 32 samples in which every joint wanders."""
    steps = np.random.default_rng(0).normal(scale=0.2, size=(10, 32, 7, 2)).cumsum(axis=1)
    windows_BSJ3 = np.ones((10, 32, 7, 3))
    windows_BSJ3[..., :2] = HANGING + steps
    return torch.from_numpy(windows_BSJ3.astype(np.float32))


@pytest.fixture(scope="module")
def net(moving):
    """A network whose normalisation knows such windows, as after training."""
    torch.manual_seed(0)
    net = TemporalNet(5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = None  # one pass is enough
    with torch.no_grad():
        net(moving)
    return net.eval()


def logits(net, windows_BSJ3):
    with torch.inference_mode():
        return net(windows_BSJ3)


def test_the_network_is_small():
    assert sum(weights.numel() for weights in TemporalNet(28).parameters()) < 300_000


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda xy: xy + torch.tensor([300.0, -80.0]), id="place"),
        pytest.param(lambda xy: xy * 12.5, id="size"),
    ],
)
def test_place_and_size_of_the_person_do_not_matter(net, moving, change):
    changed = moving.clone()
    changed[..., :2] = change(moving[..., :2])

    torch.testing.assert_close(logits(net, changed), logits(net, moving), rtol=0, atol=1e-3)


def test_the_direction_of_time_matters(net, moving):
    gap = (logits(net, moving.flip(1)) - logits(net, moving)).abs().amax(dim=1)

    assert (gap > 5e-3).all()


def test_a_confidence_does_not_matter_and_a_missing_joint_does(net, moving):
    unsure, missing = moving.clone(), moving.clone()
    unsure[..., 2] = 0.3
    missing[:, 5:20, R_WRIST, :2] = torch.nan

    torch.testing.assert_close(logits(net, unsure), logits(net, moving))
    got = logits(net, missing)
    assert got.isfinite().all()
    assert ((got - logits(net, moving)).abs().amax(dim=1) > 5e-3).all()


@pytest.mark.parametrize("samples", [16, 17, 32, 63])
def test_windows_of_any_number_of_samples_fit(net, moving, samples):
    window = torch.cat([moving, moving.flip(1)], dim=1)[:, :samples]

    assert logits(net, window).shape == (10, 5)


def test_a_window_of_which_nothing_is_seen_has_finite_logits(net):
    assert logits(net, torch.full((2, 16, 7, 3), torch.nan)).isfinite().all()
