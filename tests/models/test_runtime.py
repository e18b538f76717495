import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from poseact.datasets.rendered.training import render_training_person
from poseact.models.bundle import read_bundle, write_bundle
from poseact.models.heatmaps import HeatmapNet, HeatmapShape, log_probabilities
from poseact.models.presets import pose_net
from poseact.models.runtime import GPU_BATCH, PoseEstimator, load_pose
from poseact.skeleton import HEAD, MIRROR, NUM_JOINTS


@pytest.fixture(scope="module")
def estimator():
    return load_pose(device="cpu")


@pytest.fixture(scope="module")
def crops(estimator):
    people = [
        render_training_person(np.random.default_rng(i), estimator.input_px)[0] for i in range(24)
    ]
    return np.stack(people)


@pytest.fixture(scope="module")
def by_torch(crops):
    bundle = read_bundle(None, "pose")
    net = pose_net(bundle)
    return PoseEstimator.from_net(net, mirror_test=bundle.manifest["mirror_test"]).predict(crops)


def test_the_cpu_runtime_agrees_with_torch(estimator, crops, by_torch):
    """It may compute in bfloat16; a joint that could be in two places may then change place."""
    distance_px = np.linalg.norm(estimator.predict(crops)[..., :2] - by_torch[..., :2], axis=2)

    assert np.median(distance_px) < 0.05
    assert np.percentile(distance_px, 95) < 0.5


def test_the_result_does_not_depend_on_the_batch(estimator, crops):
    together = estimator.predict(crops)

    for size in (1, 5, 16):
        parts = [estimator.predict(crops[i : i + size]) for i in range(0, len(crops), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    assert estimator.predict(crops[:0]).shape == (0, NUM_JOINTS, 3)


@pytest.fixture
def mirroring(tmp_path):
    bundle = read_bundle(None, "pose")
    manifest = {**bundle.manifest, "mirror_test": True}
    return load_pose(write_bundle(tmp_path, manifest=manifest, tensors=bundle.tensors).path, "cpu")


def test_with_a_mirror_test_left_and_right_are_treated_alike(mirroring, crops):
    joints = mirroring.predict(crops)
    mirrored = mirroring.predict(crops[:, :, ::-1])[:, list(MIRROR)]

    mirrored[..., 0] = mirroring.input_px - mirrored[..., 0]
    distance_px = np.linalg.norm(mirrored[..., :2] - joints[..., :2], axis=2)
    assert np.percentile(distance_px, 95) < 0.5


def test_openvino_reports_to_nobody(tmp_path):
    """Its telemetry would leave an identity in the home folder and send events from threads."""
    code = (
        "import sys, threading\n"
        "from poseact.models.runtime import load_pose\n"
        "load_pose(None, 'cpu')\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert threading.active_count() == 1"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    assert not list(tmp_path.iterdir())


def test_crops_of_another_size_are_refused(estimator):
    with pytest.raises(ValueError, match="crops must be"):
        estimator.predict(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_joint_outside_the_crop_gets_little_confidence():
    net = HeatmapNet(HeatmapShape())
    outputs = (torch.zeros(1, NUM_JOINTS, 8, 8), torch.zeros(1, NUM_JOINTS))
    outputs[0][..., 4, 4] = 9
    outputs[1][0, HEAD] = 15

    confidence = net.decode(outputs)[0, :, 2]

    assert confidence[HEAD] < 0.05
    assert confidence[HEAD - 1] > 0.8


def test_probabilities_of_all_places_sum_to_one():
    outputs = (torch.randn(2, NUM_JOINTS, 8, 8), torch.randn(2, NUM_JOINTS))

    assert torch.allclose(log_probabilities(outputs).exp().sum(dim=2), torch.ones(2, NUM_JOINTS))


@pytest.mark.gpu
def test_the_gpu_agrees_with_torch_in_full_and_partial_batches(crops, by_torch):
    estimator = load_pose(device="cuda")
    many = np.concatenate([crops] * (1 + GPU_BATCH // len(crops)))

    found = estimator.predict(many)

    distance_px = np.linalg.norm(found[: len(crops), :, :2] - by_torch[..., :2], axis=2)
    assert np.percentile(distance_px, 95) < 0.5  # bfloat16
    np.testing.assert_array_equal(found[: len(crops)], found[len(crops) : 2 * len(crops)])
