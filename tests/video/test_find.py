from datetime import UTC, datetime
from pathlib import Path

import pytest

from poseact.errors import InputError
from poseact.video.find import camera_in_name, find_videos, start_in_name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.mp4", "a.MKV", "notes.txt", "gate/c.ts", "gate/._c.ts", ".trash/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(["."], ["a.MKV", "b.mp4", "gate/c.ts"], id="a folder holds all below it"),
        pytest.param(["b.mp4"], ["b.mp4"], id="one file"),
        pytest.param(["notes.txt"], ["notes.txt"], id="a named file counts whatever its ending"),
        pytest.param(["*.mp4", "b.mp4", "./b.mp4"], ["b.mp4"], id="each file once"),
        pytest.param(["**/*.ts"], ["gate/c.ts"], id="a glob goes into folders, not hidden files"),
        pytest.param(["gate/../b.mp4", "g*"], ["b.mp4", "gate/c.ts"], id="a glob matches folders"),
    ],
)
def test_finds(folder, patterns, expected):
    assert find_videos(patterns) == [str(folder / name) for name in expected]


@pytest.mark.parametrize("pattern", ["absent.mp4", "*.avi", "empty"])
def test_nothing_found_is_an_error_that_names_the_pattern(folder, pattern):
    assert folder == Path.cwd()

    with pytest.raises(InputError, match=pattern.replace("*", r"\*")):
        find_videos(["b.mp4", pattern])


def test_a_file_whose_name_looks_like_a_glob_is_that_file(folder):
    (folder / "cam[1].mp4").touch()

    assert find_videos(["cam[1].mp4"]) == [str(folder / "cam[1].mp4")]


NEW_YEAR = datetime(2024, 1, 31, 23, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("uri", "camera", "start"),
    [
        pytest.param("/rec/gate_20240131T235958Z.mp4", "gate", NEW_YEAR, id="underscore"),
        pytest.param("/rec/gate-2-20240131T235958Z.mp4", "gate-2", NEW_YEAR, id="hyphen"),
        pytest.param("/rec/gate_20240131T235958Z_part2.mp4", "gate", NEW_YEAR, id="with a rest"),
        pytest.param("/rec/lobby/20240131T235958Z.mp4", "lobby", NEW_YEAR, id="time alone"),
        pytest.param("/rec/Lobby é 2/clip.mp4", "Lobby-2", None, id="folder, made a safe name"),
        pytest.param("/rec/lobby/x_20241331T000000Z.mp4", "lobby", None, id="month 13 is no time"),
        pytest.param("/clip.mp4", None, None, id="neither"),
    ],
)
def test_camera_and_start_come_from_the_name(uri, camera, start):
    assert (camera_in_name(uri), start_in_name(uri)) == (camera, start)
