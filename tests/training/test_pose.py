import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from poseact.datasets.canvas import render_canvases
from poseact.datasets.rendered.training import render_training_person
from poseact.errors import ConfigError, InputError
from poseact.models.bundle import MANIFEST
from poseact.models.runtime import load_pose
from poseact.training.config import TrainPoseConfig
from poseact.training.pose import read_people, run_name, train_pose
from poseact.training.pose_step import PoseTraining, Shard

NUM_FILMS = 3
CROPS_PER_FILM = 4


@pytest.fixture(scope="module")
def flic_folder(tmp_path_factory):
    """Rendered people in the pre-processed layout of FLIC: three films of four people."""
    folder = tmp_path_factory.mktemp("flic")
    rows, labels = [], {"train": [], "test": []}
    for split in labels:
        (folder / split).mkdir()
    for i in range(NUM_FILMS * CROPS_PER_FILM):
        rgb, joints, _ = render_training_person(np.random.default_rng(i), 224)
        split = "test" if i % CROPS_PER_FILM == 0 else "train"
        official = "valid" if i % CROPS_PER_FILM == 1 else "train"
        name = f"{split}{i}.png"
        cv2.imwrite(str(folder / split / name), rgb)  # swapped, as in FLIC
        numbers = ",".join(str(round(value)) for value in joints[:, :2].ravel())
        labels[split].append(f"{name},{numbers}\n")
        rows.append(f"{split},{name},{official},film{i // CROPS_PER_FILM},0,0,224,224,60\n")
    for split, lines in labels.items():
        (folder / f"{split}_joints_coords.csv").write_text("".join(lines))
    header = "crop_split,crop_file,flic_split,movie,box_x0,box_y0,box_x1,box_y1,torso_px\n"
    (folder / "crop_map.csv").write_text(header + "".join(rows))
    return folder


@pytest.fixture
def config(flic_folder, tmp_path):
    return TrainPoseConfig(
        data=(flic_folder,),
        out=tmp_path / "bundle",
        storage=tmp_path / "runs",
        epochs=2,
        batch_size=2,
        validation_films=1,
        rendered=2,
        num_workers=0,
    )


def test_nobody_of_either_test_split_or_of_a_held_out_film_is_learned_from(config):
    people = read_people(config)

    assert len(people.train) == 2 * (CROPS_PER_FILM - 2)
    assert {(p.split, p.official_split) for p in people.train} == {("train", "train")}
    assert not {p.group for p in people.train} & {p.group for p in people.validation}


def test_a_split_can_be_chosen_for_comparison(config):
    supplied = read_people(dataclasses.replace(config, flic_train="supplied"))

    assert {p.official_split for p in supplied.train} == {"train", "test"}
    assert {p.split for p in supplied.train} == {"train"}


def test_too_few_people_for_a_step_is_an_input_error(config):
    with pytest.raises(InputError, match="lower --batch-size"):
        train_pose(dataclasses.replace(config, batch_size=64))


def test_people_without_films_are_learned_from_too(config, tmp_path):
    rgb, joints, _ = render_training_person(np.random.default_rng(0), 224)
    (tmp_path / "crops").mkdir()
    cv2.imwrite(str(tmp_path / "crops" / "a.png"), rgb)
    columns = ",".join(f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy")
    numbers = ",".join(str(value) for value in joints[:, :2].ravel())
    (tmp_path / "crops" / "joints.csv").write_text(f"file,{columns}\na.png,{numbers}\n")

    assert train_pose(dataclasses.replace(config, data=(tmp_path / "crops",), epochs=1)) == 0
    assert load_pose(config.out).predict(np.zeros((1, 160, 160, 3), np.uint8)).shape == (1, 7, 3)


def test_reference_joints_are_never_learned_from(config, tmp_path):
    (tmp_path / "videos" / "reference_joints").mkdir(parents=True)

    with pytest.raises(InputError, match="never for training"):
        read_people(dataclasses.replace(config, data=(tmp_path / "videos",)))


def test_the_run_is_named_after_what_decides_its_result_alone(config):
    people = read_people(config).train
    name = run_name(config, people)

    assert run_name(dataclasses.replace(config, num_workers=1), people) == name
    assert run_name(dataclasses.replace(config, seed=1), people) != name
    assert run_name(config, people[1:]) != name


def test_training_goes_on_after_an_interruption_as_if_there_were_none(config):
    canvases = render_canvases(4, seed=0)

    def new_training():
        return PoseTraining(config, 4, device=torch.device("cpu"), shard=Shard())

    whole, before, after = new_training(), new_training(), new_training()
    for epoch in range(2):
        whole.run_epoch(canvases, epoch)
    before.run_epoch(canvases, 0)
    after.load_state_dict(before.state_dict())
    after.run_epoch(canvases, 1)

    expected, got = whole.averaged.state_dict(), after.averaged.state_dict()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


def test_a_step_lowers_the_loss_on_the_people_it_saw(config):
    canvases = render_canvases(8, seed=0)
    config = dataclasses.replace(config, epochs=12, batch_size=4)
    training = PoseTraining(config, 8, device=torch.device("cpu"), shard=Shard())

    losses = [training.run_epoch(canvases, epoch) for epoch in range(12)]

    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3


def test_a_bundle_comes_out_and_the_same_command_does_not_train_again(config, capsys):
    assert train_pose(config) == 0

    first = (config.out / MANIFEST).read_text()
    assert "epoch 2 loss" in capsys.readouterr().out
    assert train_pose(config) == 0
    assert "loss" not in capsys.readouterr().out
    assert json.loads((config.out / MANIFEST).read_text())["files"] == json.loads(first)["files"]
    protocols = [report["protocol"] for report in json.loads(first)["metrics"]]
    assert [name.split()[1] for name in protocols] == ["supplied", "official"]
    assert load_pose(config.out).predict(np.zeros((1, 160, 160, 3), np.uint8)).shape == (1, 7, 3)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_ray_train_workers_write_the_same_kind_of_bundle_and_resume(config, capfd):
    config = dataclasses.replace(config, num_workers=2, batch_size=4, epochs=1)

    assert train_pose(config) == 0
    weights = json.loads((config.out / MANIFEST).read_text())["files"]
    assert "epoch 1 loss" in capfd.readouterr().out
    assert train_pose(config) == 0
    assert "epoch 1 loss" not in capfd.readouterr().out
    assert json.loads((config.out / MANIFEST).read_text())["files"] == weights


@pytest.mark.gpu
def test_the_gpu_trains_in_bfloat16(config):
    canvases = render_canvases(8, seed=0)
    config = dataclasses.replace(config, epochs=12, batch_size=4)
    training = PoseTraining(config, 8, device=torch.device("cuda"), shard=Shard())

    losses = [training.run_epoch(canvases, epoch) for epoch in range(12)]

    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"num_workers": -1},
        {"num_workers": 2, "batch_size": 3},
        {"ema_decay": 1.0},
        {"validation_films": 0},
        {"rendered": -1},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(config, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))[:5]):
        dataclasses.replace(config, **wrong)
