import json

import cv2
import numpy as np
import pandas as pd
import pytest

from poseact import __version__
from poseact.errors import ConfigError, InputError, OutputError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.pose import evaluate_pose
from poseact.evaluation.protocols import evaluate_protocol, guess_protocol, select
from poseact.evaluation.report import write_json
from poseact.models.bundle import read_bundle
from poseact.models.presets import pose_net
from poseact.video.encode import write_video

SIZE = 160
JOINTS_PX = np.float32([[90, 100], [85, 80], [80, 50], [60, 30], [40, 50], [35, 80], [30, 100]])


class BrightSpotFinder:
    """Finds every joint in the middle of the brightest spot of the crop."""

    model_id = "spots"
    input_px = SIZE

    def predict(self, crops):
        joints = np.ones((len(crops), 7, 3), np.float32)
        for crop, found in zip(crops, joints, strict=True):
            red = cv2.GaussianBlur(crop[..., 0], (9, 9), 0)
            y, x = np.unravel_index(red.argmax(), red.shape)
            found[:, :2] = x + 0.5, y + 0.5
        return joints


def write_crops(folder, spot, count=2):
    columns = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
    rows = []
    for i in range(count):
        picture = np.zeros((120, 120, 3), np.uint8)
        cv2.circle(picture, spot, 3, (255, 255, 255), -1)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        rows.append([f"{i}.png", *JOINTS_PX.ravel(), 50])
    pd.DataFrame(rows, columns=["file", *columns, "torso_px"]).to_csv(
        folder / "joints.csv", index=False
    )


def test_a_model_that_finds_one_joint_scores_that_joint(tmp_path):
    write_crops(tmp_path, spot=(60, 30))

    report = evaluate_protocol(BrightSpotFinder(), tmp_path, "crops")

    assert report["num_people"] == report["num_groups"] == 2
    assert report["groups"] == {}  # a table of single pictures would tell nothing
    assert report["pck"]["0.1"] == pytest.approx(
        {"wrist": 0, "elbow": 0, "shoulder": 0, "head": 100, "mean": 100 / 7}
    )
    assert report["jittered_crops_pck"]["0.2"]["head"] == 100


def test_the_video_protocol_crops_boxes_and_matches_frames_by_index(tmp_path):
    spots = [(60, 30), (62, 34), (64, 38)]
    frames = []
    for spot in spots:
        frame = np.zeros((120, 120, 3), np.uint8)
        cv2.circle(frame, spot, 4, (255, 255, 255), -1)
        frames.append(frame)
    (tmp_path / "reference_joints").mkdir()
    (tmp_path / "deep").mkdir()
    write_video(tmp_path / "deep" / "spot.mp4", frames, fps=10)
    columns = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
    rows = []
    for index in (0, 2):
        joints = JOINTS_PX.copy()
        joints[3] = spots[index]
        rows.append([index, 20, 20, 100, 110, *joints.ravel()])
    pd.DataFrame(rows, columns=["frame_index", "x0", "y0", "x1", "y1", *columns]).to_csv(
        tmp_path / "reference_joints" / "spot.csv", index=False
    )

    report = evaluate_protocol(BrightSpotFinder(), tmp_path, guess_protocol(tmp_path))

    assert report["num_people"] == 2
    assert report["groups"]["spot"]["head"] == 100
    assert report["pck"]["0.05"]["head"] == 100


def write_references(folder, frame_indices):
    columns = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
    rows = [[index, 20, 20, 100, 110, *JOINTS_PX.ravel()] for index in frame_indices]
    (folder / "reference_joints").mkdir()
    pd.DataFrame(rows, columns=["frame_index", "x0", "y0", "x1", "y1", *columns]).to_csv(
        folder / "reference_joints" / "short.csv", index=False
    )
    write_video(folder / "short.mp4", [np.zeros((120, 120, 3), np.uint8)] * 3, fps=10)


def test_references_to_one_frame_each_get_its_picture(tmp_path):
    write_references(tmp_path, [2, 0, 2])
    subjects = select(tmp_path, "video")

    assert [row for row, _ in subjects.read([0, 1, 2])] == [1, 0, 2]


def test_a_frame_that_the_video_does_not_have_is_named(tmp_path):
    write_references(tmp_path, [0, 7])

    with pytest.raises(InputError, match=r"short\.mp4: has no frame 7"):
        evaluate_protocol(BrightSpotFinder(), tmp_path, "video")


def test_a_video_that_is_missing_is_named(tmp_path):
    (tmp_path / "reference_joints").mkdir()
    columns = ["frame_index", "x0", "y0", "x1", "y1"]
    columns += [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
    (tmp_path / "reference_joints" / "lost.csv").write_text(",".join(columns) + "\n")

    with pytest.raises(InputError, match="lost"):
        evaluate_protocol(BrightSpotFinder(), tmp_path, "video")


def test_crops_have_no_splits(tmp_path):
    write_crops(tmp_path, spot=(60, 30))

    with pytest.raises(ConfigError, match="split"):
        evaluate_protocol(BrightSpotFinder(), tmp_path, "crops", "val")


def test_a_folder_of_no_known_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match="layout"):
        guess_protocol(tmp_path)


def test_the_mean_pose_floor_of_the_supplied_split_is_the_known_one(data_dir):
    """30.4 px, as measured independently on the same split."""
    report = evaluate_protocol(BrightSpotFinder(), data_dir / "flic", "supplied")

    assert report["num_people"] == 574
    assert report["mean_pose"]["mean_error_px"] == pytest.approx(30.4, abs=0.05)


@pytest.mark.parametrize(
    ("folder", "mean", "wrist"),
    [
        pytest.param("flic", 97, 95, id="supplied"),
        pytest.param("videos", 94, 85, id="video"),
        pytest.param("coco_people", 80, 70, id="people"),
    ],
)
def test_the_shipped_bundle_keeps_its_promise(data_dir, tmp_path, folder, mean, wrist):
    config = EvaluatePoseConfig(data=data_dir / folder, json=tmp_path / "r.json")

    assert evaluate_pose(config) == 0

    report = json.loads((tmp_path / "r.json").read_text())
    assert report["pck"]["0.2"]["mean"] >= mean
    assert report["pck"]["0.2"]["wrist"] >= wrist
    assert report["confidence"]["ece"] <= 0.06
    if folder == "flic":
        assert report["mean_error_px"] <= 6.6
        assert report["mse_px2"] <= 80
        assert report["r2"] >= 0.97
        assert report["num_groups"] == len(report["groups"]) == 13


def test_the_table_says_what_was_measured_on_whom(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    write_crops(tmp_path / "data", spot=(60, 30), count=3)

    assert evaluate_pose(EvaluatePoseConfig(data=tmp_path / "data", json=tmp_path / "r.json")) == 0

    table, report = capsys.readouterr().out, json.loads((tmp_path / "r.json").read_text())
    assert report["cost"]["parameters"] == sum(p.numel() for p in shipped_net().parameters())
    assert 0.1 < report["cost"]["gflop_per_crop"] < 100
    assert set(report["cost"]["cpu_ms_per_crop"]) == {"1", "16"}
    heading = {line.split()[0]: line for line in table.splitlines()[:6]}
    assert f"3 people in 3 pictures, hash {report['data_hash']}" in heading["data"]
    assert __version__ in heading["code"]
    assert report["model_id"] in heading["model"]
    assert "M parameters" in heading["cost"]


def shipped_net():
    return pose_net(read_bundle(None, "pose"))


def test_the_data_hash_changes_with_a_label(tmp_path):
    write_crops(tmp_path, spot=(60, 30))
    before = select(tmp_path, "crops").data_hash
    table = pd.read_csv(tmp_path / "joints.csv")

    table.assign(j1x=table.j1x + 1).to_csv(tmp_path / "joints.csv", index=False)

    assert select(tmp_path, "crops").data_hash != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"worst": 3}, "worst and out", id="worst without out"),
        pytest.param({"out": "a.png"}, "worst and out", id="out without worst"),
        pytest.param({"worst": 0, "out": "a.png"}, "at least 1", id="nobody to show"),
        pytest.param({"bundle": ("a", "b")}, "only --protocol disjoint", id="two bundles"),
        pytest.param({"protocol": "disjoint"}, "--fold K", id="disjoint without bundles"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EvaluatePoseConfig(data="data", **settings)


def test_json_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"r\.json"):
        write_json(tmp_path / "no" / "r.json", {})
