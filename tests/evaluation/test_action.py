import json

import numpy as np
import pytest

from poseact.datasets.actions import ACTIONS
from poseact.errors import BundleError, ConfigError, OutputError
from poseact.evaluation.action import evaluate_action
from poseact.evaluation.action_config import EvaluateActionConfig
from poseact.evaluation.action_metrics import measure_actions
from poseact.models.action import ARCHITECTURE, KIND, ActionNet
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


def test_an_action_that_never_occurs_does_not_lower_macro_f1():
    figures = measure_actions(np.array([0, 1]), np.eye(3, dtype=np.float32)[[0, 1]])

    assert figures.macro_f1 == 1
    assert figures.recall["other"] == 0


def test_a_bundle_without_held_out_films_is_refused(tmp_path):
    manifest = {
        "kind": KIND,
        "name": ARCHITECTURE,
        "architecture": ARCHITECTURE,
        "classes": list(ACTIONS),
    }
    write_bundle(tmp_path, manifest=manifest, tensors=ActionNet(3).state_dict())

    with pytest.raises(BundleError, match="held_out_films"):
        evaluate_action(EvaluateActionConfig(data=tmp_path, bundle=tmp_path))


def test_data_must_be_named():
    with pytest.raises(ConfigError, match="--data FOLDER"):
        EvaluateActionConfig()


def test_the_shipped_bundle_keeps_what_its_manifest_and_the_issue_promise(
    data_dir, tmp_path, capsys
):
    path = tmp_path / "figures.json"

    assert evaluate_action(EvaluateActionConfig(data=data_dir, json=path)) == 0

    report = json.loads(path.read_text())
    left = {name: recalls["left"] for name, recalls in report["hello_by_hand"].items()}
    assert left["bundle"] >= 0.99
    assert left["flip-swap"] >= 0.99
    assert left["none"] <= 0.05
    assert left["flip"] <= 0.05
    assert report["held_out"]["accuracy"] > 0.98
    assert report["test_pictures"]["accuracy"] == 1
    assert "trained now, augment flip-swap" in capsys.readouterr().out


def test_figures_that_cannot_be_written_are_an_output_error(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("poseact.evaluation.action.COMPARED", ())

    with pytest.raises(OutputError, match="cannot be written"):
        evaluate_action(EvaluateActionConfig(data=data_dir, json=tmp_path / "no" / "f.json"))
