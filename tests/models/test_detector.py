import dataclasses

import numpy as np
import pytest
import torch

from poseact.errors import BundleError
from poseact.models.bundle import write_bundle
from poseact.models.detection import (
    LEAST_SCORE,
    Detections,
    PersonDetector,
    detector_for,
    load_detector,
)
from poseact.models.detector import STRIDE, DetectorNet, DetectorShape, decode, detection_loss

NAN = float("nan")
HEIGHT, WIDTH = 6, 8
SMALL = DetectorShape(stem=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), neck=8, input_px=96)
NOBODY = torch.full((1, 1, 4), NAN)


def outputs_for(boxes, sure=8.0):
    """Outputs that are sure of people in the cells of their middles, and of nothing else."""
    logits = torch.full((1, HEIGHT, WIDTH), -sure)
    found = torch.zeros(1, 4, HEIGHT, WIDTH)
    found[:, 2:] = 1.0
    for x0, y0, x1, y1 in boxes:
        row, column = int((y0 + y1) / 2 // STRIDE), int((x0 + x1) / 2 // STRIDE)
        logits[0, row, column] = sure
        found[0] = torch.tensor([x0, y0, x1, y1])[:, None, None]
    return logits, found


def small_net():
    torch.manual_seed(0)
    return DetectorNet(SMALL).eval()


def write(folder, net=None, **changes):
    net = net or small_net()
    manifest = {
        "kind": "detector",
        "name": "detector",
        "architecture": dataclasses.asdict(net.shape),
        "threshold": 0.3,
        **changes,
    }
    return write_bundle(folder / "bundle", manifest=manifest, tensors=net.state_dict()).path


def test_people_are_where_a_cell_is_surer_than_its_neighbours():
    logits, found = outputs_for([(8, 0, 24, 40)])
    logits[0, 2, 3] = 2.0  # beside the peak: no person of its own

    ((boxes_N4, scores_N),) = decode((logits, found))

    is_found = scores_N > LEAST_SCORE
    assert boxes_N4[is_found].tolist() == [[8, 0, 24, 40]]
    assert scores_N[is_found].item() == pytest.approx(0.9997, abs=1e-4)


def test_two_peaks_with_one_box_are_one_person():
    logits, found = outputs_for([(0, 0, 64, 48)])
    logits[0, 0, 0] = 3.0

    ((_, scores_N),) = decode((logits, found))

    assert (scores_N > 0.5).sum() == 1


def test_the_right_answer_costs_least():
    box = (8.0, 0.0, 24.0, 40.0)
    truth = torch.tensor([[box]])

    right = detection_loss(outputs_for([box]), truth, NOBODY)
    logits, found = outputs_for([box])
    moved = detection_loss((logits.roll(3, dims=2), found), truth, NOBODY)
    resized = detection_loss((logits, found * 1.3), truth, NOBODY)

    assert right < 0.01
    assert moved > 1
    assert resized > 0.1


def test_missing_people_cost_nothing():
    box = [8.0, 0.0, 24.0, 40.0]
    outputs = outputs_for([box])

    alone = detection_loss(outputs, torch.tensor([[box]]), NOBODY)
    padded = detection_loss(outputs, torch.tensor([[box, [NAN] * 4]]), NOBODY)

    assert padded == pytest.approx(alone.item())
    assert torch.isfinite(detection_loss(outputs, NOBODY, NOBODY))


def test_a_find_in_an_ignored_region_costs_nothing():
    outputs = outputs_for([(8, 0, 24, 40)])

    blamed = detection_loss(outputs, NOBODY, NOBODY)
    ignored = detection_loss(outputs, NOBODY, torch.tensor([[[0.0, 0.0, 40.0, 48.0]]]))

    assert blamed > 5
    assert ignored < 0.01


def test_where_two_people_overlap_the_smaller_one_is_learned():
    small, large = [16.0, 16.0, 32.0, 32.0], [0.0, 0.0, 48.0, 48.0]
    truth = torch.tensor([[small, large]])
    logits, found = outputs_for([large])
    alike = detection_loss((logits, found), truth, NOBODY)
    found[0, :, 3, 3] = torch.tensor(small)  # the cell of both middles

    assert detection_loss((logits, found), truth, NOBODY) < alike - 0.1


def test_a_network_learns_where_one_person_is():
    torch.manual_seed(0)
    net = DetectorNet(SMALL)
    picture = torch.zeros(1, 3, 96, 96)
    picture[:, :, 20:80, 30:50] = 2.0
    truth = torch.tensor([[[30.0, 20.0, 50.0, 80.0]]])
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        detection_loss(net(picture), truth, NOBODY).backward()
        optimizer.step()

    with torch.no_grad():
        ((boxes_N4, scores_N),) = decode(net(picture))

    assert scores_N[0] > 0.5
    assert boxes_N4[0].numpy() == pytest.approx([30, 20, 50, 80], abs=5)


@pytest.mark.parametrize("size", [(50, 90), (90, 50), (400, 300), (33, 200)])
def test_boxes_lie_in_a_picture_of_any_size(tmp_path, size):
    width, height = size
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)

    (found,) = load_detector(write(tmp_path), "cpu").detect([picture])

    assert found.boxes_N4.shape == (len(found.scores_N), 4)
    assert (found.boxes_N4 >= 0).all()
    assert (found.boxes_N4 <= [width, height, width, height]).all()


def test_the_cpu_runtime_agrees_with_torch(tmp_path):
    net = small_net()
    torch.nn.init.constant_(net.middles[-1].bias, 0.0)
    picture = np.random.default_rng(0).integers(0, 256, (60, 96, 3), np.uint8)

    (by_torch,) = PersonDetector.from_net(net).detect([picture])
    (by_openvino,) = load_detector(write(tmp_path, net), "cpu").detect([picture])

    assert len(by_torch.scores_N) > 0
    best = by_openvino.boxes_N4[np.argmax(by_openvino.scores_N)]
    nearest = np.abs(by_torch.boxes_N4 - best).max(axis=1).min()
    assert nearest < 2.0  # bfloat16


def test_finds_below_a_score_are_left_out():
    found = Detections(
        boxes_N4=np.arange(8, dtype=np.float32).reshape(2, 4), scores_N=np.float32([0.9, 0.4])
    )

    assert found.above(0.5).boxes_N4.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": {"stem": 8}},
        {"architecture": {"kernels": 8}},
    ],
    ids=["other layers", "unknown setting"],
)
def test_a_bundle_of_another_version_is_refused(tmp_path, changes):
    with pytest.raises(BundleError, match="Train it again"):
        load_detector(write(tmp_path, **changes))


def test_none_is_no_detector_and_a_folder_is_a_bundle(tmp_path):
    assert detector_for("none") is None
    assert detector_for(str(write(tmp_path))).model_id.startswith("detector@")
