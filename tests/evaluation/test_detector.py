import dataclasses
import json

import cv2
import numpy as np
import pytest

from poseact.datasets.scenes import data_hash, read_scenes
from poseact.errors import ConfigError
from poseact.evaluation.detector import evaluate_detector, format_report, measure_detector
from poseact.evaluation.detector_config import EvaluateDetectorConfig
from poseact.models.bundle import write_bundle
from poseact.models.detection import Detections
from poseact.models.detector import DetectorNet, DetectorShape

LARGE, SMALL, FALSE = (20, 10, 60, 70), (80, 20, 90, 29), (70, 50, 90, 60)


class BrightBoxes:
    """Finds everything brighter than black; the brighter, the surer."""

    model_id = "bright"
    threshold = 0.5

    def detect(self, pictures):
        return [self._detect(picture[..., 0]) for picture in pictures]

    def _detect(self, gray):
        count, _, stats, _ = cv2.connectedComponentsWithStats((gray > 20).astype(np.uint8))
        boxes = [[x, y, x + width, y + height] for x, y, width, height, _ in stats[1:]]
        boxes = np.array(boxes, np.float32).reshape(count - 1, 4)
        scores = np.float32([gray[int(y), int(x)] / 255 for x, y, _, _ in boxes])
        order = np.argsort(-scores)
        return Detections(boxes_N4=boxes[order], scores_N=scores[order])


@pytest.fixture
def folder(tmp_path):
    """One picture of two people and a bright thing, one of nobody with a dim thing."""
    folder = tmp_path / "squares"
    (folder / "images").mkdir(parents=True)
    rows = {"a.png": [(LARGE, 250), (SMALL, 200), (FALSE, 150)], "b.png": [(FALSE, 100)]}
    for name, squares in rows.items():
        picture = np.zeros((80, 100, 3), np.uint8)
        for (x0, y0, x1, y1), gray in squares:
            picture[y0:y1, x0:x1] = gray
        cv2.imwrite(str(folder / "images" / name), picture)
    (folder / "pictures.csv").write_text(
        "file,split,width,height\na.png,val,100,80\nb.png,val,100,80\n"
    )
    people = "".join(f"a.png,{','.join(map(str, box))},0\n" for box in (LARGE, SMALL))
    (folder / "people.csv").write_text(f"file,x0,y0,x1,y1,crowd\n{people}")
    return folder


def write_random_bundle(path, threshold=0.4):
    shape = DetectorShape(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), stem=8, input_px=64, neck=8)
    net = DetectorNet(shape)
    manifest = {
        "kind": "detector",
        "name": "detector",
        "architecture": dataclasses.asdict(shape),
        "threshold": threshold,
    }
    return write_bundle(path, manifest=manifest, tensors=net.state_dict())


def test_the_figures_of_a_detector_that_takes_everything_bright_for_a_person(folder):
    scenes = read_scenes(folder, "val")

    figures = measure_detector(BrightBoxes(), scenes, 0.5)

    # hits at 250 and 200, then a false find at 150; the one in the empty picture is too dim
    assert figures["ap50"] == 100
    assert figures["precision"] == pytest.approx(200 / 3)
    assert figures["recall"] == 100
    assert figures["false_per_100_empty"] == 0
    assert figures["best_f1"]["threshold"] == pytest.approx(200 / 255)
    assert figures["by_height"]["6-12"]["precision"] == 50
    assert figures["by_height"][">50"]["num_people"] == 1
    assert figures["cpu_ms_per_picture"] > 0
    assert measure_detector(BrightBoxes(), scenes, 0.3)["false_per_100_empty"] == 100


def test_the_table_shows_each_figure_once_for_all_and_once_by_height(folder):
    scenes = read_scenes(folder, "val")
    figures = measure_detector(BrightBoxes(), scenes, 0.5)
    about = {
        "protocol": "squares",
        "package_version": "1",
        "commit": None,
        "data_hash": data_hash(scenes),
        "num_pictures": 2,
        "num_empty": 1,
    }

    lines = format_report({**about, **figures, "peer": figures}).splitlines()

    rows = {line[:30].strip(): line[30:].split() for line in lines}
    assert rows["height, % of the longer side"] == ["all", "6-12", "12-25", "25-50", ">50"]
    assert rows["people"] == ["2", "1", "0", "0", "1"]
    assert rows["precision"] == ["66.7", "50.0", "-", "-", "100.0"]
    assert rows["recall"] == ["100.0", "100.0", "-", "-", "100.0"]
    assert f"2 people in 2 pictures, 1 of which hold nobody, hash {data_hash(scenes)}" in lines[2]
    assert sum(line.startswith("bright, ") for line in lines) == 2


def test_a_bundle_is_measured_at_its_own_threshold_or_the_given_one(folder, tmp_path, capsys):
    bundle = write_random_bundle(tmp_path / "bundle")
    path = tmp_path / "r.json"
    for threshold, expected in ((None, 0.4), (0.9, 0.9)):
        config = EvaluateDetectorConfig(
            data=folder, bundle=bundle.path, threshold=threshold, json=path
        )

        assert evaluate_detector(config) == 0

        report = json.loads(path.read_text())
        assert report["threshold"] == expected
    assert {"ap50", "precision", "recall", "false_per_100_empty"} < report.keys()
    assert report["model_id"] == bundle.model_id
    assert report["data_hash"] == data_hash(read_scenes(folder, "val"))
    assert f"{bundle.model_id}, " in capsys.readouterr().out


def test_the_peer_is_measured_beside_the_bundle(folder, tmp_path, data_dir):
    peer = data_dir / "peers" / "fastestdet" / "FastestDet.onnx"
    path = tmp_path / "r.json"
    config = EvaluateDetectorConfig(
        data=folder,
        bundle=write_random_bundle(tmp_path / "bundle").path,
        peer=f"fastestdet:{peer}",
        json=path,
    )

    assert evaluate_detector(config) == 0

    report = json.loads(path.read_text())["peer"]
    assert report["model_id"].startswith("FastestDet@")
    assert report["threshold"] == 0.65


def test_a_threshold_is_a_share():
    with pytest.raises(ConfigError, match="threshold"):
        EvaluateDetectorConfig(data="x", threshold=50)
