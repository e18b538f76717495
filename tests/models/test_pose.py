import dataclasses

import numpy as np
import pytest
import torch

from poseact.models.bundle import write_bundle
from poseact.models.export import to_onnx
from poseact.models.pose import (
    STRIDE,
    PoseArchitecture,
    PoseLogits,
    PoseNet,
    decode,
    log_probabilities,
    pose_loss,
)
from poseact.models.runtime import PoseEstimator, load_pose
from poseact.skeleton import HEAD, NUM_JOINTS

CELLS = 40
SMALL = PoseArchitecture(input_px=64, stem=8, widths=(8, 16, 16, 16), decoder=16)


def logits_for(joints):
    """The logits that fit some joints best, found by gradient descent on the loss."""
    cells = torch.zeros(len(joints), NUM_JOINTS, CELLS, CELLS, requires_grad=True)
    absent = torch.zeros(len(joints), NUM_JOINTS, requires_grad=True)
    optimizer = torch.optim.Adam([cells, absent], lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        pose_loss(PoseLogits(cells, absent), joints).backward()
        optimizer.step()
    return PoseLogits(cells.detach(), absent.detach())


def test_what_the_loss_asks_for_decodes_to_the_joints():
    rng = torch.Generator().manual_seed(0)
    joints = torch.rand(1, NUM_JOINTS, 3, generator=rng) * (CELLS - 8) * STRIDE + 4 * STRIDE
    joints[..., 2] = 1

    found = decode(logits_for(joints))

    assert (found[..., :2] - joints[..., :2]).abs().max() < 0.5
    assert found[..., 2].min() > 0.8


def test_a_joint_outside_the_crop_gets_little_confidence():
    joints = torch.full((1, NUM_JOINTS, 3), 80.0)
    joints[0, HEAD, 0] = -20
    joints[..., 2] = 1

    found = decode(logits_for(joints))

    assert found[0, HEAD, 2] < 0.05
    assert found[0, HEAD - 1, 2] > 0.8


def test_an_unlabelled_joint_costs_nothing_wherever_it_is():
    logits = PoseLogits(torch.randn(1, NUM_JOINTS, 8, 8), torch.randn(1, NUM_JOINTS))
    joints = torch.tensor([[[10.0, 12.0, 1.0]] * NUM_JOINTS])
    other = joints.clone()
    joints[0, 0] = torch.tensor([float("nan"), float("nan"), 0])
    other[0, 0] = torch.tensor([30.0, 3.0, 0])

    assert pose_loss(logits, joints) == pose_loss(logits, other)


def test_probabilities_of_all_places_sum_to_one():
    logits = PoseLogits(torch.randn(2, NUM_JOINTS, 8, 8), torch.randn(2, NUM_JOINTS))

    assert torch.allclose(log_probabilities(logits).exp().sum(dim=2), torch.ones(2, NUM_JOINTS))


def test_the_architecture_survives_the_manifest():
    as_json = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(SMALL).items()
    }

    assert PoseArchitecture.from_manifest(as_json) == SMALL


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    net = PoseNet(SMALL).eval()
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    manifest = {"kind": "pose", "name": "small", "architecture": dataclasses.asdict(SMALL)}
    folder = tmp_path_factory.mktemp("bundle")
    return write_bundle(folder, manifest=manifest, tensors=halves, onnx=to_onnx(net))


def test_the_cpu_runtime_agrees_with_torch(bundle):
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    net = PoseNet(SMALL)
    net.load_state_dict(dict(bundle.tensors))

    by_onnx = load_pose(bundle.path, device="cpu").predict(crops)
    by_torch = PoseEstimator.from_net(net.eval()).predict(crops)

    np.testing.assert_allclose(by_onnx, by_torch, atol=0.01)


def test_the_result_does_not_depend_on_the_batch(bundle):
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    estimator = load_pose(bundle.path, device="cpu")

    together = estimator.predict(crops)
    alone = np.concatenate([estimator.predict(crop[None]) for crop in crops])

    np.testing.assert_allclose(together, alone, atol=1e-3)
    assert estimator.predict(crops[:0]).shape == (0, NUM_JOINTS, 3)


def test_crops_of_another_size_are_refused(bundle):
    with pytest.raises(ValueError, match="crops must be"):
        load_pose(bundle.path, device="cpu").predict(np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(bundle):
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)

    on_cpu = load_pose(bundle.path, device="cpu").predict(crops)
    on_gpu = load_pose(bundle.path, device="cuda").predict(crops)

    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.5)  # bfloat16
