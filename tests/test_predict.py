import cv2
import numpy as np
import pytest

from poseact.errors import InputError
from poseact.evaluation.config import PredictConfig
from poseact.predict import predict


@pytest.mark.parametrize("name", ["hello_test", "namaste_test"])
def test_the_action_of_a_test_picture_is_named_and_its_joints_drawn(
    data_dir, tmp_path, capsys, name
):
    folder = data_dir / "actions" / "namaste_hello"
    (picture,) = folder.rglob(f"{name}.*")

    assert predict(PredictConfig(images=(picture,), out=tmp_path / "out")) == 0

    assert f": {name.split('_')[0]} " in capsys.readouterr().out
    drawn = cv2.imread(str(tmp_path / "out" / f"{name}.pose.png"))
    original = cv2.imread(str(picture))
    assert drawn.shape == original.shape
    assert (drawn != original).any()


@pytest.mark.parametrize("content", [None, "", "text"], ids=["missing", "empty", "text"])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "a.jpg").write_text(content)

    with pytest.raises(InputError, match=r"a\.jpg"):
        predict(PredictConfig(images=(tmp_path / "a.jpg",), out=tmp_path))


def test_the_picture_itself_is_left_alone(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 40, 3), 128, np.uint8))
    before = (tmp_path / "a.png").read_bytes()

    assert predict(PredictConfig(images=(tmp_path / "a.png",), out=tmp_path)) == 0

    assert (tmp_path / "a.png").read_bytes() == before
