import numpy as np
import pytest
import torch

from poseact.errors import BundleError
from poseact.models.action import (
    ARCHITECTURE,
    KIND,
    ActionClassifier,
    ActionNet,
    load_action,
)
from poseact.models.bundle import write_bundle

CLASSES = ("namaste", "hello", "other")
POSE = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)


def write(folder, *, architecture=ARCHITECTURE, classes=CLASSES, num_outputs=3):
    manifest = {
        "kind": KIND,
        "name": ARCHITECTURE,
        "architecture": architecture,
        "classes": list(classes),
    }
    torch.manual_seed(0)
    return write_bundle(folder, manifest=manifest, tensors=ActionNet(num_outputs).state_dict())


def test_a_bundle_gives_the_same_scores_as_the_network_it_was_written_from(tmp_path):
    bundle = write(tmp_path)
    torch.manual_seed(0)
    direct = ActionClassifier(ActionNet(3), CLASSES, "direct")

    loaded = load_action(tmp_path)

    assert loaded.classes == CLASSES
    assert loaded.model_id == bundle.model_id
    np.testing.assert_array_equal(loaded.predict(POSE[None]), direct.predict(POSE[None]))


def test_scores_are_probabilities_and_ignore_confidence_place_and_scale(tmp_path):
    write(tmp_path)
    classifier = load_action(tmp_path)
    moved = np.concatenate([POSE * 9 + 200, np.full((7, 1), 0.3)], axis=1).astype(np.float32)

    scores = classifier.predict(np.stack([moved, np.nan_to_num(moved)]))

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scores[:1], classifier.predict(POSE[None]), atol=1e-5)


def test_nobody_at_all_is_an_empty_table(tmp_path):
    write(tmp_path)

    assert load_action(tmp_path).predict(np.empty((0, 7, 3), np.float32)).shape == (0, 3)


def test_a_person_without_a_seen_head_is_other(tmp_path):
    write(tmp_path)
    headless, handless = POSE.copy(), POSE.copy()
    headless[3] = np.nan
    handless[6] = np.nan

    scores = load_action(tmp_path).predict(np.stack([headless, handless]))

    assert scores[0].tolist() == [0, 0, 1]
    assert np.isfinite(scores[1]).all()
    assert scores[1, 2] < 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"architecture": "graph"}, id="another architecture"),
        pytest.param({"classes": ("namaste", "hello", "wave")}, id="no class other"),
        pytest.param({"num_outputs": 5}, id="weights of another size"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(tmp_path, wrong):
    write(tmp_path, **wrong)

    with pytest.raises(BundleError, match=str(tmp_path)):
        load_action(tmp_path)
