import csv
import json

import numpy as np
import pytest
import torch

from poseact.datasets.actions import ACTIONS, HELLO, OTHER, ActionPoses, act_out
from poseact.datasets.arms import draw_hello
from poseact.errors import ConfigError, InputError
from poseact.models.action import ActionClassifier, load_action
from poseact.models.features import distances
from poseact.training.action import train_action
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_steps import (
    Recipe,
    augment,
    choose_films,
    fit,
    new_net,
    new_optimizer,
    read_bodies,
    train_epoch,
)

HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
COLUMNS = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]


def make_bodies(count, seed=0):
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(count, 7, 2))
    return ActionPoses(
        joints_NJ2=(HANGING / 10 + noise).astype(np.float32),
        labels_N=np.full(count, OTHER),
        groups_N=np.array([f"film{i % 4}" for i in range(count)]),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder in the layout of the real one: 80 people of 4 films and two pictures."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "flic").mkdir()
    (folder / "actions" / "namaste_hello").mkdir(parents=True)
    joints_NJ2 = 100 + 200 * make_bodies(80).joints_NJ2
    crops = [
        f"train,{i}.jpg,x,train,film{i % 4},{i},0,0,224,224,90\n" for i in range(len(joints_NJ2))
    ]
    (folder / "flic" / "crop_map.csv").write_text(
        "crop_split,crop_file,flic_image,flic_split,movie,frame,"
        "box_x0,box_y0,box_x1,box_y1,torso_px\n" + "".join(crops)
    )
    with (folder / "flic" / "train_joints_coords.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [f"{i}.jpg", *joints_J2.ravel()] for i, joints_J2 in enumerate(joints_NJ2)
        )
    (folder / "flic" / "test_joints_coords.csv").write_text("")
    with (folder / "actions" / "namaste_hello" / "action_joints.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["url", *COLUMNS, "label"])
        for name in ("hello1.jpg", "hello_test.jpg"):
            writer.writerow([name, *HANGING.ravel(), "Hello"])
    return folder


def config(folder, tmp_path, **changed):
    settings = {"epochs": 6, "batch_size": 64, "held_out_films": 1, "num_workers": 0}
    return TrainActionConfig(
        data=folder,
        out=tmp_path / "bundle",
        storage=tmp_path / "runs",
        **{**settings, **changed},
    )


@pytest.mark.parametrize(
    ("mode", "left_recall"),
    [
        pytest.param("none", (0, 0.05), id="none: the left hand is never seen"),
        pytest.param("flip", (0, 0.05), id="flip only changes no distance"),
        pytest.param("flip-swap", (0.95, 1), id="flip and swap teaches it"),
    ],
)
def test_left_hand_hello_is_learnt_by_flip_and_swap_only(mode, left_recall):
    poses = act_out(make_bodies(200), np.random.default_rng(0), hands=("right",))
    net = fit(poses, Recipe(augment=mode, epochs=25, batch_size=64, seed=0))
    waving = draw_hello(make_bodies(200, seed=1).joints_NJ2, np.random.default_rng(1), "left")

    scores = ActionClassifier(net, ACTIONS, "test").predict(waving)

    assert left_recall[0] <= np.mean(scores.argmax(axis=1) == HELLO) <= left_recall[1]


def test_augmentation_changes_every_pose_and_leaves_the_input_alone():
    poses = make_bodies(400).joints_NJ2
    before = poses.copy()

    got = augment(poses, np.random.default_rng(0), "flip-swap")

    np.testing.assert_array_equal(poses, before)
    assert (got != poses).any(axis=(1, 2)).all()
    assert 0.02 < np.isnan(got[:, [1, 5], 0]).mean() < 0.05
    assert np.isfinite(got[:, [0, 2, 3, 4, 6]]).all()
    seen = np.isfinite(got).all(axis=(1, 2))
    error = np.abs(distances(got[seen]) - distances(poses[seen]))
    assert 0.01 < np.median(error) < 0.1


def test_a_resumed_run_ends_as_an_unbroken_one():
    poses = act_out(make_bodies(40), np.random.default_rng(0), hands=("right",))
    recipe = Recipe(augment="flip-swap", epochs=4, batch_size=32, seed=3)
    unbroken = fit(poses, recipe)

    net = new_net(seed=3)
    optimizer = new_optimizer(net)
    for epoch in (0, 1):
        train_epoch(net, optimizer, poses, recipe, epoch)
    again = new_net(seed=99)
    again.load_state_dict(net.state_dict())
    optimizer_again = new_optimizer(again)
    optimizer_again.load_state_dict(optimizer.state_dict())
    for epoch in (2, 3):
        train_epoch(again, optimizer_again, poses, recipe, epoch)

    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_films_and_test_pictures_stay_on_their_side(folder, tmp_path):
    sources = config(folder, tmp_path)
    films = choose_films(sources, 1, seed=0)

    bodies = read_bodies(sources, films)

    assert len(bodies.train) == 60
    assert len(bodies.held_out) == 20
    assert bodies.held_out_films == films
    assert not set(films) & set(bodies.train.groups_N)
    assert bodies.train_pictures.groups_N.tolist() == ["hello1.jpg"]
    assert bodies.test_pictures.groups_N.tolist() == ["hello_test.jpg"]


def test_holding_out_every_film_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="below the 4 films"):
        train_action(config(folder, tmp_path, held_out_films=4))


def test_held_out_films_that_nobody_is_in_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="0 of 80 people"):
        read_bodies(config(folder, tmp_path), ["another film"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"epochs": 0}, "epochs", id="no epochs"),
        pytest.param({"num_workers": 65}, "num_workers", id="more workers than poses in a step"),
        pytest.param({"batch_size": 0}, "batch_size", id="empty batch"),
        pytest.param({"seed": -1}, "seed", id="negative seed"),
        pytest.param({"data": None}, "--data FOLDER", id="no data"),
        pytest.param({"data": None, "flic": "."}, "--actions", id="only half of the data"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, changed, message):
    settings = {"data": tmp_path, "out": tmp_path, "batch_size": 64} | changed

    with pytest.raises(ConfigError, match=message):
        TrainActionConfig(**settings)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_training_writes_a_bundle_that_says_how_it_came_to_be(folder, tmp_path, capsys):
    settings = config(folder, tmp_path)

    assert train_action(settings) == 0

    printed = capsys.readouterr().out
    assert "training poses: 601 (namaste 180, hello 181, other 240)" in printed
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["classes"] == list(ACTIONS)
    assert "generated on bodies of FLIC" in manifest["training_data"]
    assert manifest["held_out_films"] == choose_films(settings, 1, seed=0)
    assert manifest["metrics"]["held_out_films"]["num_poses"] == 20 + 2 * 3 * 20
    assert f"--data {folder}" in manifest["command"]
    first_id = load_action(tmp_path / "bundle").model_id

    assert train_action(settings) == 0

    assert "epoch" not in capsys.readouterr().out  # the finished run was found again
    assert load_action(tmp_path / "bundle").model_id == first_id


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_train_one_model(folder, tmp_path):
    assert train_action(config(folder, tmp_path, num_workers=2)) == 0

    assert load_action(tmp_path / "bundle").classes == ACTIONS
