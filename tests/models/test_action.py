import dataclasses

import numpy as np
import pytest
import torch

from poseact.errors import BundleError
from poseact.models.action import (
    KIND,
    POSES_PER_CALL,
    ActionClassifier,
    FrameShape,
    TemporalShape,
    load_action,
)
from poseact.models.bundle import write_bundle
from poseact.models.features import mirror

CLASSES = ("namaste", "hello", "other")
XY = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
POSE = np.concatenate([XY, np.full((7, 1), 0.8, np.float32)], axis=1)
SHAPES = [
    pytest.param(FrameShape(), id="distances"),
    pytest.param(FrameShape(features="graph", mirror_exact=True), id="graph, mirror-exact"),
    pytest.param(TemporalShape(samples=16), id="temporal"),
]


def new_net(shape, num_outputs=3):
    torch.manual_seed(0)
    return shape.new_net(num_outputs)


def write(folder, shape=None, *, num_outputs=3, **changed):
    shape = shape or FrameShape()
    manifest = {
        "kind": KIND,
        "name": "untrained",
        "architecture": dataclasses.asdict(shape),
        "classes": list(CLASSES),
        **changed,
    }
    return write_bundle(folder, manifest=manifest, tensors=new_net(shape, num_outputs).state_dict())


def some_poses(count, seed=0):
    joints = np.random.default_rng(seed).normal(size=(count, 7, 3)).astype(np.float32)
    joints[::3, 0, :2] = np.nan
    return joints


@pytest.mark.parametrize("shape", SHAPES)
def test_a_bundle_gives_the_same_scores_as_the_network_it_was_written_from(tmp_path, shape):
    bundle = write(tmp_path, shape)
    direct = ActionClassifier(new_net(shape), shape, CLASSES, "direct")

    loaded = load_action(tmp_path)

    assert loaded.classes == CLASSES
    assert loaded.model_id == bundle.model_id
    np.testing.assert_array_equal(loaded.predict(POSE[None]), direct.predict(POSE[None]))


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_probabilities_and_ignore_place_and_scale(tmp_path, shape):
    write(tmp_path, shape)
    classifier = load_action(tmp_path)
    moved = POSE.copy()
    moved[:, :2] = POSE[:, :2] * 9 + 200

    scores = classifier.predict(np.stack([moved, POSE]))

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_nobody_at_all_is_an_empty_table(tmp_path, shape):
    write(tmp_path, shape)

    assert load_action(tmp_path).predict(np.empty((0, 7, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_person_without_a_seen_head_is_other(tmp_path, shape):
    write(tmp_path, shape)
    headless, handless = POSE.copy(), POSE.copy()
    headless[3, :2] = np.nan
    handless[6, :2] = np.nan

    scores = load_action(tmp_path).predict(np.stack([headless, handless]))

    assert scores[0].tolist() == [0, 0, 1]
    assert np.isfinite(scores[1]).all()
    assert scores[1, 2] < 1


@pytest.mark.parametrize("features", ["xy", "distances", "graph"])
@pytest.mark.parametrize("count", [1, 7, 300, POSES_PER_CALL + 5])
def test_a_mirror_exact_model_scores_mirror_images_alike_to_the_last_bit(features, count):
    shape = FrameShape(features=features, mirror_exact=True)
    classifier = ActionClassifier(new_net(shape), shape, CLASSES, "exact")
    joints = some_poses(count)

    assert classifier.predict(mirror(joints)).tobytes() == classifier.predict(joints).tobytes()


def test_another_model_scores_mirror_images_differently():
    classifier = ActionClassifier(new_net(FrameShape()), FrameShape(), CLASSES, "plain")
    joints = some_poses(20)

    assert np.abs(classifier.predict(mirror(joints)) - classifier.predict(joints)).max() > 1e-3


def test_temperature_divides_the_logits(tmp_path):
    write(tmp_path / "warm", temperature=2.0)
    write(tmp_path / "plain")
    joints = some_poses(20)

    warm = load_action(tmp_path / "warm").predict(joints).astype(np.float64)
    plain = load_action(tmp_path / "plain").predict(joints).astype(np.float64)

    # odds of two classes are exp(difference of logits): at temperature 2 their square root
    np.testing.assert_allclose(warm[:, 0] / warm[:, 1], np.sqrt(plain[:, 0] / plain[:, 1]), 1e-4)


def test_a_model_of_single_poses_does_not_mind_the_time():
    classifier = ActionClassifier(new_net(FrameShape()), FrameShape(), CLASSES, "frame")
    joints = some_poses(20)

    got = classifier.score(joints, np.arange(20.0) ** 2)

    np.testing.assert_array_equal(got, classifier.predict(joints))


def test_a_temporal_model_tells_moving_people_from_those_who_keep_still():
    shape = TemporalShape(window_s=0.5, samples=16)
    net = new_net(shape)
    torch.nn.init.normal_(net.head.weight, std=30)  # so that scores differ
    classifier = ActionClassifier(net, shape, CLASSES, "temporal")
    pts_s = np.arange(30) / 10
    still = np.repeat(POSE[None], 30, axis=0)
    moving = still.copy()
    moving[10:, 0, 1] += np.linspace(0, -6, 20)

    scores = classifier.score(moving, pts_s)

    np.testing.assert_allclose(classifier.score(still, pts_s), classifier.predict(still), atol=1e-4)
    np.testing.assert_allclose(scores[:7], classifier.predict(still[:7]), atol=1e-4)
    assert np.abs(scores[15] - classifier.predict(moving[15:16])[0]).max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"architecture": "distances-mlp"}, id="of an older version"),
        pytest.param({"architecture": {"kind": "forest"}}, id="another kind"),
        pytest.param({"architecture": {"kind": "frame", "features": "hair"}}, id="other features"),
        pytest.param({"architecture": {"kind": "frame", "layers": 9}}, id="a setting too many"),
        pytest.param({"classes": ("namaste", "hello", "wave")}, id="no class other"),
        pytest.param({"num_outputs": 5}, id="weights of another size"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(tmp_path, wrong):
    write(tmp_path, **wrong)

    with pytest.raises(BundleError, match=str(tmp_path)):
        load_action(tmp_path)
