import sys

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from poseact.datasets.scenes import read_scenes, scene_picture
from poseact.errors import ConfigError, InputError
from poseact.evaluation.detection import match_finds
from poseact.evaluation.detector_peer import decode_cells, load_detector_peer

LOGIT_OF_04 = np.log(0.4 / 0.6)


def cells(height=2, width=4):
    """What FastestDet would say of a picture of nothing but its last class."""
    cells_CHW = np.zeros((85, height, width), np.float32)
    cells_CHW[-1] = 1
    return cells_CHW


def test_a_cell_is_decoded_as_its_authors_do():
    said = cells()
    said[:, 1, 2] = 0
    said[:6, 1, 2] = [0.5, np.arctanh(0.2), np.arctanh(-0.4), 0, LOGIT_OF_04, 0.9]

    boxes, scores = decode_cells(said)

    # the middle is at 2.2 of 4 columns and 0.6 of 2 rows, the size is 0.5 by 0.4
    assert boxes == pytest.approx(np.float32([[0.3, 0.1, 0.8, 0.5]]))
    assert scores == pytest.approx([0.5**0.6 * 0.9**0.4])


def test_what_is_likelier_something_else_is_nobody():
    said = cells()
    said[0], said[5] = 1, 0.9

    assert [len(part) for part in decode_cells(said)] == [0, 0]


@pytest.mark.parametrize("name", ["yolo:here", "fastestdet:", "/fastestdet.onnx"])
def test_a_peer_of_another_kind_is_refused(name):
    with pytest.raises(ConfigError, match=r"fastestdet:PATH .* or yolofastest:FOLDER"):
        load_detector_peer(name)


def test_a_file_that_is_no_detector_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.onnx: cannot be read"):
        load_detector_peer(f"fastestdet:{tmp_path / 'none.onnx'}")

    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InputError, match=r"text\.onnx: is no ONNX model"):
        load_detector_peer(f"fastestdet:{tmp_path / 'text.onnx'}")


def test_a_model_of_other_shapes_is_refused(tmp_path):
    picture = ops.parameter([1, 3, 32, 32], np.float32)
    path = tmp_path / "other.xml"
    openvino.save_model(openvino.Model([ops.relu(picture)], [picture]), path)

    with pytest.raises(InputError, match=r"\[1,3,32,32\], \[1,3,32,32\]; expected"):
        load_detector_peer(f"fastestdet:{path}")


def test_a_missing_ncnn_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", None)

    with pytest.raises(ConfigError, match="pip install ncnn"):
        load_detector_peer(f"yolofastest:{tmp_path}")


def test_a_folder_without_an_ncnn_model_is_named(tmp_path):
    pytest.importorskip("ncnn")

    with pytest.raises(InputError, match=r"holds 0 files \*\.param"):
        load_detector_peer(f"yolofastest:{tmp_path}")

    (tmp_path / "a.param").write_text("7767517\n1 1\nInput x 0 1 x 0=8 1=8 2=3\n")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.param: is no detector of the YOLO family"):
        load_detector_peer(f"yolofastest:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "ap50", "precision", "recall"),
    [
        # 58.7 where finds below 0.4 were left out
        pytest.param("fastestdet:{}/fastestdet/FastestDet.onnx", 61.5, 69.1, 58.2, id="fastestdet"),
        # 60.4 where finds below 0.25 were left out
        pytest.param("yolofastest:{}/yolo_fastest_xl", 66.3, 74.9, 63.7, id="yolofastest"),
    ],
)
def test_published_peers_are_as_good_as_we_know_them_to_be(data_dir, name, ap50, precision, recall):
    if name.startswith("yolofastest"):
        pytest.importorskip("ncnn")
    peer = load_detector_peer(name.format(data_dir / "peers"))
    scenes = read_scenes(data_dir / "coco_people", "val")

    found = [peer.detect([scene_picture(scene)])[0] for scene in scenes]

    matches = match_finds(scenes, found)
    best = matches.at(matches.best_threshold())
    assert matches.average_precision() == pytest.approx(ap50, abs=0.5)
    assert best["precision"] == pytest.approx(precision, abs=1.5)
    assert best["recall"] == pytest.approx(recall, abs=1.5)
    assert all((np.diff(one.scores_N) <= 0).all() for one in found)
