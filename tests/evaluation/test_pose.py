import json

import cv2
import numpy as np
import pandas as pd
import pytest

from poseact.errors import ConfigError, InputError, OutputError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.pose import evaluate_pose, format_report, write_json
from poseact.evaluation.protocols import evaluate_protocol, guess_protocol
from poseact.models.pose import PoseLogits
from poseact.models.runtime import PoseEstimator
from poseact.video.encode import write_video

SIZE = 160
JOINTS_PX = np.float32([[90, 100], [85, 80], [80, 50], [60, 30], [40, 50], [35, 80], [30, 100]])


def bright_spot_finder():
    """An estimator whose heat map is the picture itself: every joint is the brightest spot."""
    import torch
    import torch.nn.functional as F

    def forward(crops):
        red = torch.from_numpy(crops[..., 0].copy()).float()[:, None]
        cells = 0.2 * F.avg_pool2d(red, 4).expand(-1, 7, -1, -1)
        return PoseLogits(cells, torch.full((len(crops), 7), -10.0))

    return PoseEstimator(forward, input_px=SIZE, model_id="spots")


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

    report = evaluate_protocol(bright_spot_finder(), tmp_path, "crops")

    assert report["num_people"] == 2
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

    report = evaluate_protocol(bright_spot_finder(), tmp_path, guess_protocol(tmp_path))

    assert report["num_people"] == 2
    assert report["groups"]["spot"]["head"] == 100
    assert report["pck"]["0.05"]["head"] == 100


def test_a_video_that_is_missing_is_named(tmp_path):
    (tmp_path / "reference_joints").mkdir()
    columns = ["frame_index", "x0", "y0", "x1", "y1"]
    columns += [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy"]
    (tmp_path / "reference_joints" / "lost.csv").write_text(",".join(columns) + "\n")

    with pytest.raises(InputError, match="lost"):
        evaluate_protocol(bright_spot_finder(), tmp_path, "video")


def test_crops_have_no_splits(tmp_path):
    write_crops(tmp_path, spot=(60, 30))

    with pytest.raises(ConfigError, match="split"):
        evaluate_protocol(bright_spot_finder(), tmp_path, "crops", "val")


def test_a_folder_of_no_known_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match="layout"):
        guess_protocol(tmp_path)


def test_the_mean_pose_floor_of_the_supplied_split_is_the_known_one(data_dir):
    """30.4 px, as measured independently on the same split."""
    report = evaluate_protocol(bright_spot_finder(), data_dir / "flic", "supplied")

    assert report["num_people"] == 574
    assert report["mean_pose"]["mean_error_px"] == pytest.approx(30.4, abs=0.05)
    assert "30.4" in format_report({"model_id": "spots", **report})


@pytest.mark.parametrize(
    ("folder", "protocol", "at_least"),
    [
        pytest.param("flic", "supplied", 90, id="supplied"),
        pytest.param("videos", "video", 85, id="video"),
    ],
)
def test_the_shipped_bundle_keeps_its_promise(data_dir, tmp_path, folder, protocol, at_least):
    config = EvaluatePoseConfig(data=data_dir / folder, protocol=protocol, json=tmp_path / "r.json")

    assert evaluate_pose(config) == 0

    report = json.loads((tmp_path / "r.json").read_text())
    assert report["pck"]["0.2"]["mean"] >= at_least
    if protocol == "supplied":
        assert report["mean_error_px"] <= 10
        assert report["mse_px2"] < 231


def test_json_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"r\.json"):
        write_json(tmp_path / "no" / "r.json", {})
