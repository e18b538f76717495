import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import savemat

from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.rescore import rescore
from poseact.analysis.rescore_config import RescoreConfig
from poseact.analysis.run import open_run
from poseact.errors import ConfigError, InputError
from poseact.models.action import load_action
from poseact.skeleton import L_WRIST, R_WRIST
from poseact.timeline.schema import timeline_schema
from poseact.timeline.tables import read_segments, read_timeline, write_timeline, write_video_row
from poseact.training.action import train_action
from poseact.training.action_config import TrainActionConfig

HANGING = np.float32([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]])
COLUMNS = ",".join(f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy")


def pose(*, up, joint=R_WRIST):
    """A wrist as high as `up` of the way from the hip to above the head."""
    joints_J2 = HANGING.copy()
    joints_J2[joint, 1] -= 12 * up
    return joints_J2


def cells(joints_J2, rng):
    return ",".join(f"{value:.2f}" for value in (joints_J2 + rng.normal(0, 0.1, (7, 2))).ravel())


@pytest.fixture
def train(tmp_path):
    """Train in this process, without a cluster; return the classifier and the manifest."""

    def run(data, **changed):
        settings = {"epochs": 8, "batch_size": 64, "num_workers": 0} | changed
        config = TrainActionConfig(
            data=data, out=tmp_path / "bundle", storage=tmp_path / "runs", **settings
        )
        assert train_action(config) == 0
        return load_action(config.out), json.loads((config.out / "manifest.json").read_text())

    return run


def write_poses(folder, labels, num_groups=6):
    """Pictures of people with a hand up or down, in a few groups, and a row of no use."""
    rng = np.random.default_rng(0)
    lines = [
        f"{group}{i}.jpg,{cells(pose(up=up), rng)},{labels[up]},group{group}"
        for group in range(num_groups)
        for i in range(4)
        for up in (0, 1)
    ]
    path = folder / "poses.csv"
    lines.insert(1, "x.jpg,1,2,oops")
    path.write_text("\n".join([f"url,{COLUMNS},label,group", *lines]) + "\n")
    return path


def test_a_table_of_poses_becomes_a_bundle(tmp_path, train, capsys):
    classifier, manifest = train(write_poses(tmp_path, ("Other", "Salute")))

    printed = capsys.readouterr().out
    assert "48 poses of 6 groups" in printed
    assert f"{tmp_path}/poses.csv:3: " in printed
    assert classifier.classes == ("salute", "other")
    asked = np.ones((3, 7, 3), np.float32)
    asked[0, :, :2], asked[1, :, :2] = pose(up=1) * 20 + 300, pose(up=0) * 20 + 300
    asked[2, :, :2] = pose(up=1, joint=L_WRIST)  # nobody showed it; the mirror did
    assert classifier.predict(asked).argmax(axis=1).tolist() == [0, 1, 0]
    figures = manifest["metrics"]["held_out_groups"]
    assert figures["accuracy"] == 1
    assert figures["num_answers"] + sum(manifest["training_examples"].values()) == 48
    assert figures["num_answers"] % 8 == 0  # whole groups
    assert manifest["architecture"]["kind"] == "frame"


def test_scores_are_calibrated_on_groups_that_another_network_has_not_seen(tmp_path, train, capsys):
    table = write_poses(tmp_path, ("other", "salute"), num_groups=12)
    header, *rows = table.read_text().splitlines()
    # in every group two labels of eight are wrong: nobody can be sure of more than three in four
    turned = [row.replace(",salute,", ",other,") if "2.jpg" in row else row for row in rows]
    turned = [row.replace(",other,", ",salute,") if "3.jpg" in row else row for row in turned]
    table.write_text("\n".join([header, *turned]))

    classifier, manifest = train(table, epochs=20)

    assert "of the training examples" in capsys.readouterr().out
    assert manifest["temperature"] != 1
    asked = np.ones((2, 7, 3), np.float32)
    asked[..., :2] = pose(up=1), pose(up=0)
    np.testing.assert_allclose(classifier.predict(asked).max(axis=1), 0.75, atol=0.12)


def test_a_label_that_names_a_side_is_not_mirrored(tmp_path, train, capsys):
    _, manifest = train(write_poses(tmp_path, ("other", "right hand up")))

    assert "'right hand up' names a side: nothing is mirrored" in capsys.readouterr().out
    assert manifest["architecture"]["mirror_exact"] is False


def test_a_way_to_augment_of_ones_own_is_kept(tmp_path, train, capsys):
    _, manifest = train(write_poses(tmp_path, ("other", "up")), augment="flip-swap")

    assert "names a side" not in capsys.readouterr().out
    assert "--augment flip-swap" in manifest["command"]
    assert manifest["architecture"]["mirror_exact"] is False


def test_two_groups_are_enough_to_measure_but_not_to_calibrate(tmp_path, train, capsys):
    _, manifest = train(write_poses(tmp_path, ("down", "up"), num_groups=2))

    printed = capsys.readouterr().out
    assert "scores are not calibrated: too few groups" in printed
    assert "nothing is labelled other" in printed
    assert manifest["temperature"] == 1
    assert manifest["classes"] == ["down", "up", "other"]


def test_one_group_cannot_be_learnt_from(tmp_path, train):
    with pytest.raises(InputError, match="in at least two videos or groups"):
        train(write_poses(tmp_path, ("down", "up"), num_groups=1))


def write_sequences(folder):
    """People who raise or lower a hand in about a second: single frames do not tell which."""
    rng = np.random.default_rng(0)
    lines = []
    for index in range(16):
        up_T = np.linspace(0, 1, 10 + index % 3)
        name = "raise" if index % 2 else "lower"
        for frame, up in enumerate(up_T if index % 2 else up_T[::-1]):
            lines.append(
                f"{index},{frame / 10},{cells(pose(up=up), rng)},{name},person{index // 4}"
            )
    path = folder / "sequences.csv"
    path.write_text("\n".join([f"sequence_id,t_s,{COLUMNS},label,group", *lines]) + "\n")
    return path


def test_a_table_of_sequences_becomes_a_bundle_for_recordings(tmp_path, train):
    classifier, manifest = train(write_sequences(tmp_path))

    assert manifest["architecture"] == {
        "kind": "temporal",
        "window_s": 1.0,
        "samples": 32,
        "causal": False,
    }
    assert manifest["metrics"]["held_out_groups"]["accuracy"] == 1
    joints_TJ3 = np.ones((11, 7, 3), np.float32)
    joints_TJ3[..., :2] = np.stack([pose(up=up) for up in np.linspace(0, 1, 11)])
    scores_TA = classifier.score(joints_TJ3, 60 + np.arange(11) / 10)
    assert classifier.classes[scores_TA[5].argmax()] == "raise"


def test_sequences_are_learnt_by_one_worker(tmp_path, train):
    with pytest.raises(ConfigError, match="num_workers must be 0 or 1"):
        train(write_sequences(tmp_path), num_workers=2)


def test_sequences_of_one_frame_are_refused(tmp_path, train):
    table = write_sequences(tmp_path)
    header, *rows = table.read_text().splitlines()
    first_of_each = {row.partition(",")[0]: row for row in rows}
    table.write_text("\n".join([header, *first_of_each.values()]))

    with pytest.raises(InputError, match="but one frame"):
        train(table)


def write_run(out):
    """A finished run over four recordings of three seconds, a hand up from 1 to 2 s."""
    config = AnalyzeConfig(videos=("x",), out=out)
    run = open_run(config, detector_id=None, pose_id="p", action_id="a", actions=("other",))
    for index in range(4):
        rng = np.random.default_rng(index)
        rows = []
        for frame in range(30):
            joints_J3 = np.ones((7, 3), np.float32)
            joints_J3[:, :2] = pose(up=10 <= frame < 20) + rng.normal(0, 0.1, (7, 2)) + 50
            rows.append(
                {
                    "video_id": f"v{index}",
                    "frame_index": frame,
                    "pts_s": frame / 10,
                    "track_id": 0,
                    "bbox_xyxy_px": [40.0, 40.0, 60.0, 60.0],
                    "detection_score": 1.0,
                    "joints": joints_J3.ravel().tolist(),
                    "action": "other",
                    "score": 1.0,
                    "scores": [1.0],
                    "config_hash": run.config_hash,
                    "model_id": run.model_id,
                }
            )
        table = pa.Table.from_pylist(rows, schema=timeline_schema(["other"]))
        write_timeline(out, table, video_id=f"v{index}", camera_id="yard", start_utc=None)
        write_video_row(
            out,
            {
                "video_id": f"v{index}",
                "uri": f"/yard/v{index}.mp4",
                "frames_analyzed": 30,
                "boxes_too_small": 0,
                "status": "ok",
                "decode_s": 0.0,
                "watch_s": 0.0,
                "run_id": run.run_id,
            },
        )
    run.remove_work()


@pytest.mark.parametrize("window_s", [None, 0.5], ids=["single poses", "motion"])
def test_intervals_of_a_run_become_a_bundle_that_rescores_it(tmp_path, train, capsys, window_s):
    out, table = tmp_path / "out", tmp_path / "intervals.csv"
    write_run(out)
    table.write_text("video,label,start,end\n" + "".join(f"v{i},Alarm,1,2\n" for i in range(4)))

    _, manifest = train(table, run=out, window_s=window_s)

    assert "120 poses of 4 groups" in capsys.readouterr().out
    assert manifest["architecture"]["kind"] == ("temporal" if window_s else "frame")
    assert rescore(RescoreConfig(out=out, action_model=tmp_path / "bundle")) == 0
    timeline = read_timeline(out)
    assert timeline.attrs["actions"] == ["alarm", "other"]
    is_up = timeline["frame_index"].between(12, 17)
    is_down = ~timeline["frame_index"].between(7, 22)
    assert set(timeline["action"][is_up]) == {"alarm"}
    assert set(timeline["action"][is_down]) == {"other"}
    segments = read_segments(out)
    assert segments["action"].tolist() == ["alarm"] * 4
    np.testing.assert_allclose(segments["start_s"], 1, atol=0.3)


def write_skeletons(folder):
    """Eight people who wave (a3) or squat (a27) twice, after their fashion."""
    rng = np.random.default_rng(0)
    stand = np.zeros((20, 3))
    stand[[0, 4, 5, 6, 8, 9, 10], 0] = 0, -0.2, -0.25, -0.25, 0.2, 0.25, 0.25
    stand[[0, 4, 5, 6, 8, 9, 10], 1] = 0.3, 0, -0.3, -0.55, 0, -0.3, -0.55
    stand[:, 2] = 2.8
    folder.mkdir()
    for person in range(1, 9):
        for trial in (1, 2):
            time_T = np.linspace(0, 1, 40 + person)
            skeleton_TK3 = np.repeat(stand[None], len(time_T), axis=0)
            skeleton_TK3 += rng.normal(scale=0.02, size=(1, 20, 3))
            waving, squatting = skeleton_TK3.copy(), skeleton_TK3.copy()
            waving[:, 10, 1] += 0.8 * np.sin(np.pi * time_T)
            squatting[..., 1] -= 0.4 * np.sin(np.pi * time_T)[:, None]
            for action, motion_TK3 in ((3, waving), (27, squatting)):
                name = f"a{action}_s{person}_t{trial}_skeleton.mat"
                savemat(folder / name, {"d_skel": motion_TK3.transpose(1, 2, 0)})
    return folder


def test_utd_mhad_is_measured_on_people_never_trained_on(tmp_path, train):
    folder = write_skeletons(tmp_path / "skeletons")

    classifier, manifest = train(Path(f"utd-mhad:{folder}"), epochs=3)

    assert len(classifier.classes) == 28
    figures = manifest["metrics"]["held_out_groups"]
    assert figures["num_answers"] == 16
    assert figures["accuracy"] == 1
    assert "2, 4, 6, 8 for testing" in figures["protocol"]
    for path in folder.glob("*_s[1357]_*"):
        path.unlink()
    with pytest.raises(InputError, match="0 sequences of people 1, 3, 5, 7 and 16 of others"):
        train(Path(f"utd-mhad:{folder}"))
