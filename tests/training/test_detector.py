import dataclasses
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from poseact.datasets.scene_views import draw_scenes
from poseact.errors import BundleError, ConfigError, InputError
from poseact.models.bundle import MANIFEST, SHIPPED, read_bundle
from poseact.models.detection import load_detector
from poseact.training.curves import CSV, PNG
from poseact.training.detector import read_training_scenes, run_name, train_detector
from poseact.training.detector_config import TrainDetectorConfig
from poseact.training.detector_step import DetectorTraining, new_detector
from poseact.training.fit import Shard

NUM_TRAIN, NUM_VALIDATION = 6, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of one bright upright thing each, the first of either split empty."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    pictures, people = [], []
    for i in range(NUM_TRAIN + NUM_VALIDATION):
        rgb_HWC = rng.integers(0, 80, (120, 160, 3), np.uint8)
        split = "train" if i < NUM_TRAIN else "val"
        is_empty = i in (0, NUM_TRAIN)
        if not is_empty:
            x, y = rng.integers(5, 100), rng.integers(5, 30)
            rgb_HWC[y : y + 80, x : x + 30] = 250
            people.append((f"{i}.png", i, x, y, x + 30, y + 80, 0))
        cv2.imwrite(str(folder / "images" / f"{i}.png"), rgb_HWC)
        pictures.append((f"{i}.png", split, 160, 120, int(not is_empty)))
    names = ["file", "split", "width", "height", "num_people"]
    pd.DataFrame(pictures, columns=names).to_csv(folder / "pictures.csv", index=False)
    names = ["file", "person", "x0", "y0", "x1", "y1", "crowd"]
    pd.DataFrame(people, columns=names).to_csv(folder / "people.csv", index=False)
    return folder


@pytest.fixture
def config(folder, tmp_path):
    return TrainDetectorConfig(
        data=(folder,),
        out=tmp_path / "bundle",
        storage=tmp_path / "runs",
        epochs=2,
        batch_size=2,
        num_workers=0,
    )


def test_a_bundle_comes_out_and_the_same_command_does_not_train_again(config, capsys):
    assert train_detector(config) == 0

    assert "epoch 2 loss" in capsys.readouterr().out
    manifest = json.loads((config.out / MANIFEST).read_text())
    assert manifest["num_pictures"] == NUM_TRAIN
    assert manifest["metrics"][0]["by_height"][">50"]["num_people"] == NUM_VALIDATION - 1
    assert load_detector(config.out).threshold >= 0
    assert (config.out / PNG).exists()
    assert pd.read_csv(config.out / CSV)["ap50"].notna().all()
    assert train_detector(config) == 0
    assert "loss" not in capsys.readouterr().out
    assert json.loads((config.out / MANIFEST).read_text())["files"] == manifest["files"]


def test_training_lowers_the_loss(config):
    scenes = read_training_scenes(config)
    config = dataclasses.replace(config, epochs=8, ema_decay=0.5)
    training = DetectorTraining(config, len(scenes), device=torch.device("cpu"), shard=Shard())
    canvases = draw_scenes(scenes)

    losses = [training.run_epoch(canvases, epoch) for epoch in range(8)]

    assert np.mean(losses[-2:]) < 0.7 * losses[0]


def test_training_goes_on_after_an_interruption_as_if_there_were_none(config):
    scenes = read_training_scenes(config)
    canvases = draw_scenes(scenes)

    def new():
        return DetectorTraining(config, len(scenes), device=torch.device("cpu"), shard=Shard())

    whole, first, second = new(), new(), new()
    losses = [whole.run_epoch(canvases, epoch) for epoch in range(2)]
    assert first.run_epoch(canvases, 0) == losses[0]
    second.load_state_dict(first.state_dict())

    assert second.run_epoch(canvases, 1) == pytest.approx(losses[1], rel=1e-5)


def test_a_detector_starts_from_the_backbone_of_a_pose_bundle(config):
    pose = read_bundle(None, "pose")
    net = new_detector(dataclasses.replace(config, base_weights=str(SHIPPED / "pose")))

    name = "base.stem.0.weight"
    assert torch.equal(net.state_dict()[name], pose.tensors[name])
    assert not torch.equal(net.laterals[0].weight, pose.tensors["laterals.1.weight"])


def test_weights_that_are_no_bundle_are_refused(config, tmp_path):
    with pytest.raises(BundleError):
        new_detector(dataclasses.replace(config, base_weights=str(tmp_path)))


def test_the_run_is_named_after_what_decides_its_result_alone(config):
    scenes = read_training_scenes(config)
    name = run_name(config, scenes)

    assert run_name(dataclasses.replace(config, num_workers=1), scenes) == name
    assert run_name(dataclasses.replace(config, seed=1), scenes) != name
    assert run_name(config, scenes[1:]) != name


def test_too_few_pictures_for_a_step_are_an_input_error(config):
    with pytest.raises(InputError, match="fewer than"):
        train_detector(dataclasses.replace(config, batch_size=64))


def test_the_number_of_pictures_can_be_limited(config):
    scenes = read_training_scenes(dataclasses.replace(config, limit=3))

    assert [scene.path.name for scene in scenes] == ["0.png", "2.png", "5.png"]


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"limit": 0}, {"batch_size": 1}], ids=str)
def test_settings_that_cannot_work_are_refused(config, wrong):
    with pytest.raises(ConfigError):
        dataclasses.replace(config, **wrong)
