import json

import cv2
import numpy as np
import pytest

from poseact.datasets.flic import read_flic
from poseact.datasets.folds import fold_of
from poseact.errors import ConfigError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.find import CropFinder, FoldFinder, find_joints
from poseact.evaluation.pose import evaluate_pose, finder_of_folds
from poseact.evaluation.protocols import select
from poseact.models.bundle import read_bundle, write_bundle

NAMES = [f"{i}.png" for i in range(12)]


class Constant:
    """Finds every joint in the middle of the crop, with one confidence."""

    input_px = 32

    def __init__(self, confidence):
        self.confidence = confidence
        self.model_id = f"constant{confidence}"

    def predict(self, crops):
        return np.tile(np.float32([16, 16, self.confidence]), (len(crops), 7, 1))


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    columns = ",".join(f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy")
    numbers = ",".join(str(value) for value in range(14))
    lines = [f"file,{columns},torso_px", *(f"{name},{numbers},20" for name in NAMES)]
    (folder / "joints.csv").write_text("\n".join(lines) + "\n")
    for name in NAMES:
        cv2.imwrite(str(folder / name), np.zeros((40, 40, 3), np.uint8))
    return folder


@pytest.fixture
def new_bundle(tmp_path):
    """Write the shipped weights as if they had been trained without a fold."""

    def write(name, **fields):
        shipped = read_bundle(None, "pose")
        manifest = {**shipped.manifest, "name": name, **fields}
        return write_bundle(tmp_path / name, manifest=manifest, tensors=shipped.tensors).path

    return write


def test_everybody_is_shown_to_the_model_of_the_own_fold():
    finder = FoldFinder({fold: CropFinder(Constant(fold / 10)) for fold in range(5)})
    pictures = [(row, np.zeros((40, 40, 3), np.uint8)) for row in range(len(NAMES))]

    found = find_joints(finder, pictures, [(20, 20, 40)] * len(NAMES), NAMES)

    expected = [fold_of(name) / 10 for name in NAMES]
    assert len(set(expected)) > 2
    np.testing.assert_allclose(found[:, 0, 2], expected)
    np.testing.assert_allclose(found[..., :2], 20)


def test_bundles_are_told_apart_by_the_fold_in_their_manifest(new_bundle):
    finder = finder_of_folds([new_bundle("late", fold=3), new_bundle("early", fold=1)])

    names = {fold: one.model_id.partition("@")[0] for fold, one in finder.finders.items()}
    assert names == {1: "early", 3: "late"}
    assert finder.model_id.startswith("fold 1 early@")


def test_only_people_whose_fold_has_a_bundle_are_measured(crops, new_bundle, tmp_path):
    config = EvaluatePoseConfig(
        data=crops,
        protocol="disjoint",
        bundle=(new_bundle("a", fold=3), new_bundle("b", fold=1)),
        json=tmp_path / "r.json",
    )

    assert evaluate_pose(config) == 0

    report = json.loads((tmp_path / "r.json").read_text())
    expected = sum(fold_of(name) in (1, 3) for name in NAMES)
    assert 0 < report["num_people"] == expected < len(NAMES)
    assert "picture-disjoint, folds 1 3 of 5" in report["protocol"]
    assert "0.2" in report["jittered_crops_pck"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([{}], id="trained on all folds"),
        pytest.param([{"fold": None}], id="null"),
        pytest.param([{"fold": 5}], id="there is no such fold"),
        pytest.param([{"fold": 2}, {"fold": 2}], id="the same fold twice"),
    ],
)
def test_bundles_that_do_not_fit_say_how_to_train(new_bundle, fields):
    with pytest.raises(ConfigError, match="train-pose --fold K"):
        finder_of_folds([new_bundle(f"bundle{i}", **some) for i, some in enumerate(fields)])


def test_folds_have_no_splits(crops):
    with pytest.raises(ConfigError, match="split"):
        select(crops, "disjoint", "val", [0])


def test_recordings_have_no_folds(tmp_path):
    (tmp_path / "reference_joints").mkdir()

    with pytest.raises(ConfigError, match="--protocol video"):
        select(tmp_path, "disjoint", None, [0])


def test_all_folds_of_flic_are_all_its_people_and_no_film_is_in_two(data_dir):
    people = read_flic(data_dir / "flic")

    whole = select(data_dir / "flic", "disjoint", None, range(5))
    parts = [select(data_dir / "flic", "disjoint", None, [fold]) for fold in range(5)]

    assert len(whole.groups) == len(people) == sum(len(part.groups) for part in parts) == 5003
    assert whole.description.startswith("FLIC film-disjoint, folds 0 1 2 3 4 of 5, ground-truth")
    films = [set(part.groups) for part in parts]
    assert sum(map(len, films)) == len(set.union(*films)) == 30


def test_both_splits_of_a_people_folder_are_measured(data_dir):
    subjects = select(data_dir / "coco_people", "disjoint", None, range(5))
    val = select(data_dir / "coco_people", "people")

    assert set(val.groups) < set(subjects.groups)
