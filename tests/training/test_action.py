import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poseact.datasets.actions import (
    ACTIONS,
    HELLO,
    OTHER,
    ActionPoses,
    act_out,
    with_confidence,
)
from poseact.datasets.arms import draw_hello
from poseact.datasets.pose_crops import in_own_crops
from poseact.errors import ConfigError, InputError
from poseact.models.action import ActionClassifier, load_action
from poseact.models.features import distances
from poseact.training.action import train_action
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_epochs import fit, new_net, train_epoch
from poseact.training.action_steps import (
    Recipe,
    augment,
    calibration_poses,
    choose_films,
    read_bodies,
)

HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
COLUMNS = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]


def make_bodies(count, seed=0):
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(count, 7, 2))
    return ActionPoses(
        joints_NJ3=with_confidence((HANGING / 10 + noise).astype(np.float32)),
        labels_N=np.full(count, OTHER),
        groups_N=np.array([f"film{i % 4}" for i in range(count)]),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder in the layout of the real one: 80 people of 4 films and two pictures."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "flic").mkdir()
    (folder / "actions" / "namaste_hello").mkdir(parents=True)
    joints_NJ2 = 100 + 200 * make_bodies(80).joints_NJ3[..., :2]
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
    settings = {"epochs": 6, "batch_size": 64, "held_out_films": 2, "num_workers": 0}
    return TrainActionConfig(
        data=folder,
        out=tmp_path / "bundle",
        storage=tmp_path / "runs",
        **{**settings, **changed},
    )


def recipe_of(**changed):
    settings = {"features": "distances", "augment": "flip-swap", "epochs": 4, "batch_size": 64}
    return Recipe(**{**settings, "seed": 0, **changed})


@pytest.mark.parametrize(
    ("features", "mode", "left_recall"),
    [
        pytest.param("distances", "none", (0, 0.05), id="none: the left hand is never seen"),
        pytest.param("distances", "flip", (0, 0.05), id="flip only changes no distance"),
        pytest.param("distances", "flip-swap", (0.95, 1), id="flip and swap teaches it"),
        pytest.param("distances", "mirror-exact", (0.95, 1), id="so does looking in the mirror"),
        pytest.param("xy", "flip", (0, 0.05), id="flip only teaches raw coordinates nonsense"),
        pytest.param("xy", "mirror-exact", (0.95, 1), id="raw coordinates in the mirror"),
        pytest.param("graph", "flip-swap", (0.95, 1), id="graph, flip and swap"),
    ],
)
def test_left_hand_hello_is_learnt_with_swapped_labels_only(features, mode, left_recall):
    poses = act_out(make_bodies(200), np.random.default_rng(0), hands=("right",))
    recipe = recipe_of(features=features, augment=mode, epochs=25)
    classifier = ActionClassifier(fit(poses, recipe), recipe.shape, ACTIONS, "test")
    bodies_NJ2 = make_bodies(200, seed=1).joints_NJ3[..., :2]
    waving = with_confidence(draw_hello(bodies_NJ2, np.random.default_rng(1), "left"))

    scores = classifier.predict(in_own_crops(waving))

    assert left_recall[0] <= np.mean(scores.argmax(axis=1) == HELLO) <= left_recall[1]


def test_augmentation_changes_every_pose_and_leaves_the_input_alone():
    poses = make_bodies(400).joints_NJ3
    before = poses.copy()

    got = augment(poses, np.random.default_rng(0), "flip-swap")

    np.testing.assert_array_equal(poses, before)
    assert (got[..., :2] != poses[..., :2]).any(axis=(1, 2)).all()
    is_seen = np.isfinite(got[..., 0])
    assert 0.02 < 1 - is_seen[:, [1, 5]].mean() < 0.05
    assert is_seen[:, [0, 2, 3, 4, 6]].all()
    assert (got[..., 2][~is_seen] == 0).all()
    assert (got[..., 2][is_seen] >= 0.3).all()
    whole = is_seen.all(axis=1)
    error = np.abs(distances(got[whole]) - distances(poses[whole]))
    assert 0.01 < np.median(error) < 0.1


def test_augmentation_turns_poses_by_up_to_twenty_degrees_either_way():
    got = augment(make_bodies(4000).joints_NJ3, np.random.default_rng(0), "none")

    across = got[:, 2, :2] - got[:, 4, :2]
    tilt_deg = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    assert abs(tilt_deg.mean()) < 1
    # 20 / sqrt(3) = 11.5 of the turn alone; noise of the joints adds to it
    assert 11 < tilt_deg.std() < 14


def test_a_resumed_run_ends_as_an_unbroken_one():
    poses = act_out(make_bodies(40), np.random.default_rng(0), hands=("right",))
    recipe = recipe_of(batch_size=32, seed=3)
    unbroken = fit(poses, recipe)

    net = new_net(recipe, 3)
    optimizer = recipe.new_optimizer(net)
    for epoch in (0, 1):
        train_epoch(net, optimizer, poses, recipe, epoch)
    again = new_net(recipe_of(seed=99), 3)
    again.load_state_dict(net.state_dict())
    optimizer_again = recipe.new_optimizer(again)
    optimizer_again.load_state_dict(optimizer.state_dict())
    for epoch in (2, 3):
        train_epoch(again, optimizer_again, poses, recipe, epoch)

    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_films_and_test_pictures_stay_on_their_side(folder, tmp_path):
    sources = config(folder, tmp_path)
    films = choose_films(sources, 2, seed=0)

    bodies = read_bodies(sources, films)

    assert len(bodies.train) == 40
    assert bodies.held_out_films == films
    assert set(bodies.calibration.groups_N) == {films[0]}
    assert set(bodies.held_out.groups_N) == {films[1]}
    assert not set(films) & set(bodies.train.groups_N)
    assert bodies.train_pictures.groups_N.tolist() == ["hello1.jpg"]
    assert bodies.test_pictures.groups_N.tolist() == ["hello_test.jpg"]


def test_scores_are_calibrated_on_both_hands_with_joints_more_or_less_off(folder, tmp_path):
    sources = config(folder, tmp_path)
    bodies = read_bodies(sources, choose_films(sources, 2, seed=0))

    poses = calibration_poses(bodies, seed=0)

    assert poses.count_classes() == {"namaste": 40, "hello": 40, "other": 60}
    assert set(poses.groups_N) == set(bodies.calibration.groups_N)
    error = (poses.joints_NJ3[:20] - bodies.calibration.joints_NJ3)[..., :2].std(axis=(1, 2))
    assert error.min() < 0.03
    assert 0.07 < error.max() < 0.13


def test_holding_out_every_film_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="below the 4 films"):
        train_action(config(folder, tmp_path, held_out_films=4))


def test_held_out_films_that_nobody_is_in_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="train 60, calibration 0, held_out 20"):
        read_bodies(config(folder, tmp_path), ["another film", "film1"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"epochs": 0}, "epochs", id="no epochs"),
        pytest.param({"held_out_films": 1}, "at least 2", id="no film to calibrate on"),
        pytest.param({"num_workers": 65}, "num_workers", id="more workers than poses in a step"),
        pytest.param({"batch_size": 0}, "batch_size", id="empty batch"),
        pytest.param({"seed": -1}, "seed", id="negative seed"),
        pytest.param({"data": None}, "--data FOLDER", id="no data"),
        pytest.param({"data": None, "flic": "."}, "--actions", id="only half of the data"),
        pytest.param({"run": "out"}, "your own labels", id="a run beside generated arms"),
        pytest.param({"causal": True}, "your own labels", id="motion beside generated arms"),
        pytest.param({"data": Path("a.csv"), "flic": "."}, "leave them out", id="both kinds"),
        pytest.param({"data": Path("a.csv"), "window_s": 0.0}, "window_s", id="no window"),
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
    assert "training poses: 401 (namaste 120, hello 121, other 160)" in printed
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["classes"] == list(ACTIONS)
    assert "generated on bodies of FLIC" in manifest["training_data"]
    assert manifest["held_out_films"] == choose_films(settings, 2, seed=0)
    assert manifest["metrics"]["held_out_films"]["num_answers"] == 20 + 2 * 3 * 20
    assert manifest["architecture"]["mirror_exact"] is True
    assert manifest["temperature"] > 0
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
