import dataclasses
import json
import re
import threading
import time

import cv2
import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from poseact.datasets.augment import CanvasBatch
from poseact.datasets.canvas import render_canvases
from poseact.datasets.folds import fold_of
from poseact.datasets.rendered.training import render_training_person
from poseact.errors import ConfigError, InputError
from poseact.models.bundle import MANIFEST, SHIPPED, write_bundle
from poseact.models.calibration import Calibration
from poseact.models.presets import PRESETS, build_pose
from poseact.models.runtime import load_pose
from poseact.training.config import TrainPoseConfig
from poseact.training.curves import CSV, PNG
from poseact.training.fit import Shard
from poseact.training.pose import calibrate, run_name, train_pose
from poseact.training.pose_people import read_people
from poseact.training.pose_step import PoseTraining

NUM_FILMS = 3
CROPS_PER_FILM = 4
SIZE = PRESETS["fast"].input_px
ORIGIN = {"base": "random", "teacher": None}


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
    assert load_pose(config.out).predict(np.zeros((1, SIZE, SIZE, 3), np.uint8)).shape == (1, 7, 3)


def test_reference_joints_are_never_learned_from(config, tmp_path):
    (tmp_path / "videos" / "reference_joints").mkdir(parents=True)

    with pytest.raises(InputError, match="never for training"):
        read_people(dataclasses.replace(config, data=(tmp_path / "videos",)))


def test_the_run_is_named_after_what_decides_its_result_alone(config):
    people = read_people(config).train
    name = run_name(config, people, ORIGIN)

    assert run_name(dataclasses.replace(config, num_workers=1), people, ORIGIN) == name
    assert run_name(dataclasses.replace(config, seed=1), people, ORIGIN) != name
    assert run_name(config, people[1:], ORIGIN) != name
    assert run_name(config, people, {**ORIGIN, "teacher": "pose@1"}) != name


def test_a_fold_is_left_out_of_every_folder_and_flics_own_splits_do_not_count(config):
    films = {fold_of(f"film{i}") for i in range(NUM_FILMS)}
    fold = films.pop()

    people = read_people(dataclasses.replace(config, fold=fold))

    everybody = [*people.train, *people.validation]
    assert {fold_of(person.group) for person in everybody} == films
    assert {(p.split, p.official_split) for p in everybody} == {
        ("train", "train"),
        ("train", "test"),
        ("test", "train"),
    }


def test_folders_are_repeated_and_limited(config):
    twice = read_people(dataclasses.replace(config, repeats=(3,)))
    some = read_people(dataclasses.replace(config, repeats=(3,), limit=2))

    assert twice.repeats == [3] * len(twice.train)
    assert some.repeats == [3, 3]
    assert [p.path for p in some.train] == [twice.train[0].path, twice.train[-1].path]


def training_of(config, num_views=4, device="cpu"):
    return PoseTraining(config, num_views, device=torch.device(device), shard=Shard())


def once(canvases):
    return np.ones(len(canvases), int)


def test_training_goes_on_after_an_interruption_as_if_there_were_none(config):
    canvases = render_canvases(4, seed=0)
    whole, before, after = training_of(config), training_of(config), training_of(config)
    for epoch in range(2):
        whole.run_epoch(canvases, once(canvases), epoch)
    before.run_epoch(canvases, once(canvases), 0)
    after.load_state_dict(before.state_dict())
    after.run_epoch(canvases, once(canvases), 1)

    expected, got = whole.averaged.state_dict(), after.averaged.state_dict()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("preset", ["fast", "simcc", "scratch", "mobilenet"])
def test_training_lowers_the_loss_on_the_people_it_saw(config, preset):
    canvases = render_canvases(8, seed=0)
    config = dataclasses.replace(config, preset=preset, epochs=12, batch_size=4)
    training = training_of(config, 8)

    losses = [training.run_epoch(canvases, once(canvases), epoch) for epoch in range(12)]

    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3


def test_a_repeated_person_is_seen_that_often(config, monkeypatch):
    canvases = render_canvases(3, seed=0)
    seen = []
    take = CanvasBatch.take

    def watched(canvases, rows, device):
        seen.extend(rows)
        return take(canvases, rows, device)

    monkeypatch.setattr(CanvasBatch, "take", watched)
    training_of(config, 6).run_epoch(canvases, np.array([1, 3, 2]), 0)

    assert sorted(seen) == [0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("base", "held"), [("frozen", [True, True, True]), ("staged", [True, False, False])]
)
def test_a_base_is_held_while_the_head_learns(config, tmp_path, base, held):
    canvases = render_canvases(4, seed=0)
    write_untrained(tmp_path / "base", "mobilenet")
    config = dataclasses.replace(
        config, preset="mobilenet", base=base, base_weights=str(tmp_path / "base"), epochs=3
    )
    training = training_of(config)
    for epoch, is_held in enumerate(held):
        net = training.state_dict()["net"]
        before = {name: value.clone() for name, value in net.items()}
        training.run_epoch(canvases, once(canvases), epoch)

        after = training.state_dict()["net"]
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        assert any(name.startswith("head.") for name in changed)
        assert any(name.startswith("base.") for name in changed) != is_held


def write_untrained(folder, preset):
    torch.manual_seed(5)
    net = build_pose(PRESETS[preset])
    manifest = {"kind": "pose", "name": preset, "architecture": dataclasses.asdict(net.shape)}
    return write_bundle(folder, manifest=manifest, tensors=net.state_dict())


def test_a_teacher_is_followed(config):
    """Labels that say nothing: all that can be learnt is what the shipped model says."""
    canvases = render_canvases(8, seed=0)
    canvases.joints_NJ3[..., 2] = 0
    config = dataclasses.replace(
        config, teacher=SHIPPED / "pose", epochs=12, batch_size=4, preset="simcc"
    )
    training = training_of(config, 8)

    losses = [training.run_epoch(canvases, once(canvases), epoch) for epoch in range(12)]

    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3


def test_confidence_is_calibrated_on_people_with_a_torso(config):
    """Half of the people are so small that every joint of theirs is a miss."""
    people = read_people(config).train
    small = [dataclasses.replace(person, torso_px=1e-3) for person in people]
    unknown = [dataclasses.replace(person, torso_px=np.nan) for person in people]
    estimator = load_pose(device="cpu")

    calibration = calibrate(estimator, [*people, *small, *unknown])

    assert calibration.apply(np.float32([0.9])) < 0.75
    assert calibrate(estimator, unknown) == Calibration(slope=1.0, offset=0.0)


def test_a_bundle_comes_out_and_the_same_command_does_not_train_again(config, capsys):
    assert train_pose(config) == 0

    first = (config.out / MANIFEST).read_text()
    assert "epoch 2 loss" in capsys.readouterr().out
    assert train_pose(config) == 0
    assert "loss" not in capsys.readouterr().out
    assert json.loads((config.out / MANIFEST).read_text())["files"] == json.loads(first)["files"]
    protocols = [report["protocol"] for report in json.loads(first)["metrics"]]
    assert [name.split()[1] for name in protocols] == ["supplied", "official"]
    assert load_pose(config.out).predict(np.zeros((1, SIZE, SIZE, 3), np.uint8)).shape == (1, 7, 3)
    curves = pd.read_csv(config.out / CSV)
    assert curves["epoch"].tolist() == [1, 2]
    assert curves[["loss", "pck_mean"]].notna().all(axis=None)
    assert cv2.imread(str(config.out / PNG)).shape == (320, 800, 3)


def test_the_manifest_says_whose_weights_it_started_from(config, tmp_path):
    base = write_untrained(tmp_path / "base", "fast")

    train_pose(dataclasses.replace(config, epochs=1, base_weights=str(base.path)))

    manifest = json.loads((config.out / MANIFEST).read_text())
    assert manifest["base"]["model_id"] == base.model_id


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_learn_as_much_as_this_process_alone(config, tmp_path):
    """Same people, same steps; only order, views and the batches of the normalisation differ."""
    learnt = {}
    for num_workers in (0, 2):
        out = tmp_path / f"{num_workers}"
        changes = {"rendered": 72, "batch_size": 8, "epochs": 4, "checkpoint_every": 4}
        train_pose(dataclasses.replace(config, **changes, num_workers=num_workers, out=out))
        loss = pd.read_csv(out / CSV)["loss"]
        learnt[num_workers] = loss.iloc[0] - loss.iloc[-1]

    assert learnt[0] > 0.5
    assert learnt[2] == pytest.approx(learnt[0], rel=0.35)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_worker_resumes_from_its_checkpoint_and_a_finished_run_is_kept(config, capfd):
    config = dataclasses.replace(config, num_workers=1, epochs=8)
    killed = []

    def kill_after_a_checkpoint():
        while not list(config.storage.glob("*/checkpoint_*/state.pt")):
            time.sleep(0.05)
        for process in psutil.process_iter(["name"]):
            if (process.info["name"] or "").startswith("ray::RayTrainWo"):
                killed.append(process.pid)
                process.kill()

    killer = threading.Thread(target=kill_after_a_checkpoint)
    killer.start()
    assert train_pose(config) == 0
    killer.join()

    printed = [int(epoch) for epoch in re.findall(r"epoch (\d+) loss", capfd.readouterr().out)]
    assert len(killed) == 1
    assert pd.read_csv(config.out / CSV)["epoch"].tolist() == list(range(1, 9))
    assert set(printed) == set(range(1, 9))
    assert len(printed) <= 10  # not from the start again

    weights = json.loads((config.out / MANIFEST).read_text())["files"]
    assert train_pose(config) == 0
    assert not re.search(r"epoch \d+ loss", capfd.readouterr().out)
    assert json.loads((config.out / MANIFEST).read_text())["files"] == weights


@pytest.mark.gpu
def test_the_gpu_trains_in_bfloat16(config):
    canvases = render_canvases(8, seed=0)
    config = dataclasses.replace(config, epochs=12, batch_size=4)
    training = training_of(config, 8, "cuda")

    losses = [training.run_epoch(canvases, once(canvases), epoch) for epoch in range(12)]

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
        {"repeats": (1, 1)},
        {"repeats": (0,)},
        {"limit": 0},
        {"fold": 5},
        {"base": "frozen"},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(config, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))[:5]):
        dataclasses.replace(config, **wrong)
