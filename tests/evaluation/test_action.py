import dataclasses
import json

import numpy as np
import pytest

from poseact.datasets.actions import ACTIONS, TEST_PICTURES
from poseact.errors import BundleError, ConfigError, OutputError
from poseact.evaluation.action import evaluate_action
from poseact.evaluation.action_config import EvaluateActionConfig
from poseact.evaluation.action_metrics import measure_actions
from poseact.models.action import KIND, FrameShape
from poseact.models.bundle import write_bundle


def test_figures_agree_with_counting_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 2, 2, 2])

    figures = measure_actions(labels, np.eye(3, dtype=np.float32)[predicted])

    assert figures.confusion == [[3, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert figures.accuracy == 6 / 8
    assert figures.recall == {"namaste": 0.75, "hello": 0.5, "other": 1.0}
    assert figures.precision == {"namaste": 1.0, "hello": 0.5, "other": pytest.approx(2 / 3)}
    assert figures.macro_f1 == pytest.approx((6 / 7 + 1 / 2 + 4 / 5) / 3)
    assert figures.ece == pytest.approx(2 / 8)  # two certain answers of eight are wrong
    assert figures.brier == pytest.approx(2 * 2 / 8)


def test_an_action_that_never_occurs_does_not_lower_macro_f1():
    figures = measure_actions(np.array([0, 1]), np.eye(3, dtype=np.float32)[[0, 1]])

    assert figures.macro_f1 == 1
    assert figures.recall["other"] == 0


def test_classes_of_ones_own_are_measured_by_name():
    figures = measure_actions(
        np.array([0, 1]), np.eye(2, dtype=np.float32)[[0, 0]], ["bow", "other"]
    )

    assert figures.recall == {"bow": 1, "other": 0}
    assert figures.confusion == [[1, 0], [1, 0]]
    assert figures.num_labelled("other") == 1
    assert figures.confusions() == [("other", "bow", 1)]


def test_the_most_frequent_confusion_comes_first():
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1, 2])

    figures = measure_actions(labels, np.eye(3, dtype=np.float32)[predicted])

    assert figures.confusions() == [("namaste", "hello", 2), ("hello", "other", 1)]
    assert figures.confusions(most=1) == [("namaste", "hello", 2)]


def test_a_bundle_without_held_out_films_is_refused(tmp_path):
    shape = FrameShape()
    manifest = {
        "kind": KIND,
        "name": "untrained",
        "architecture": dataclasses.asdict(shape),
        "classes": list(ACTIONS),
    }
    write_bundle(tmp_path, manifest=manifest, tensors=shape.new_net(3).state_dict())

    with pytest.raises(BundleError, match="held_out_films"):
        evaluate_action(EvaluateActionConfig(data=tmp_path, bundle=tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"data": None}, "--data FOLDER", id="no data"),
        pytest.param({"seed": -1}, "seed", id="negative seed"),
        pytest.param({"seeds": -1}, "seeds must be at least 0", id="negative number of seeds"),
        pytest.param({"ablation": True, "seeds": 0}, "at least 1", id="ablation without a seed"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, changed, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateActionConfig(**{"data": tmp_path, **changed})


def test_the_shipped_bundle_keeps_what_its_manifest_and_the_issue_promise(data_dir, tmp_path):
    path, drawing = tmp_path / "figures.json", tmp_path / "reliability.png"

    config = EvaluateActionConfig(data=data_dir, json=path, reliability=drawing)
    assert evaluate_action(config) == 0

    report = json.loads(path.read_text())
    assert report["held_out"]["accuracy"] > 0.99
    assert report["held_out"]["ece_15"] <= 0.05
    assert report["held_out_noisy"]["ece_15"] <= 0.05
    assert report["hello_by_hand"]["left"] >= 0.99
    assert report["hello_by_hand"]["right"] >= 0.99
    assert report["test_pictures"]["num_answers"] == len(TEST_PICTURES)
    assert report["test_pictures"]["accuracy"] == 1
    assert report["pictures_estimated"]["num_answers"] == 22
    assert drawing.read_bytes().startswith(b"\x89PNG")


def test_figures_that_cannot_be_written_are_an_output_error(data_dir, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate_action(EvaluateActionConfig(data=data_dir, json=tmp_path / "no" / "f.json"))
