from pathlib import Path

import pytest

from poseact.analysis.config import AnalyzeConfig
from poseact.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("videos", (), id="no video"),
        pytest.param("min_pose_confidence", 1.2, id="a confidence above one"),
        pytest.param("limit", 0, id="a limit that leaves nothing"),
        pytest.param("chunk_mib", 0, id="an empty chunk"),
    ],
)
def test_a_wrong_setting_is_named(setting, value):
    with pytest.raises(ConfigError, match=setting):
        AnalyzeConfig(**{"videos": ("a.mp4",), "out": Path("out"), setting: value})


def test_a_score_that_nobody_has_is_refused():
    with pytest.raises(ConfigError, match=r"min_detection_score.*name a detector"):
        AnalyzeConfig(videos=("a.mp4",), out=Path("out"), detector="none", min_detection_score=0.5)


def test_workers_get_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    videos = ("a.mp4", "yard/*.mp4", "s3://bucket/yard")
    config = AnalyzeConfig(videos=videos, out="out", pose_model=Path("pose")).absolute()

    assert config.videos == (f"{tmp_path}/a.mp4", f"{tmp_path}/yard/*.mp4", "s3://bucket/yard")
    assert config.out == str(tmp_path / "out")
    assert config.pose_model == tmp_path / "pose"
    assert config.action_model is None
