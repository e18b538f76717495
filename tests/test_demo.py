import contextlib
import io
import time
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from poseact.datasets.rendered.demo_scenes import Acted
from poseact.demo import DemoConfig, compare, run_demo
from poseact.errors import OutputError
from poseact.timeline.tables import read_segments, read_timeline, read_videos


def run(out):
    printed = io.StringIO()
    started = time.perf_counter()
    with contextlib.redirect_stdout(printed):
        exit_code = run_demo(DemoConfig(out=out))
    seconds = time.perf_counter() - started
    return SimpleNamespace(out=out, exit_code=exit_code, text=printed.getvalue(), seconds=seconds)


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory, ray_cluster):
    """The demo, run once for this module; ``ray_cluster`` is the Ray that it finds."""
    del ray_cluster
    return run(tmp_path_factory.mktemp("demo") / "poseact-demo")


@pytest.mark.ray
def test_the_demo_finds_what_was_acted(demo_run):
    assert demo_run.exit_code == 0
    assert "3 of 3 actions found; 0 found that nobody acted." in demo_run.text


@pytest.mark.ray
def test_the_demo_tells_the_hands_apart(demo_run):
    segments = read_segments(demo_run.out / "run", action="hello")

    assert dict(zip(segments["camera_id"], segments["hand"], strict=True)) == {
        "lobby": "right",
        "gate": "left",
    }


@pytest.mark.ray
def test_the_demo_leaves_recordings_tables_and_a_picture(demo_run):
    videos, timeline = read_videos(demo_run.out / "run"), read_timeline(demo_run.out / "run")

    assert len(list((demo_run.out / "recordings").glob("*.mp4"))) == 2
    assert list(videos["status"]) == ["ok", "ok"]
    assert list(videos["frames_analyzed"]) == [210, 210]
    assert timeline["track_id"].isna().any(), "moments with nobody"
    assert timeline["time_utc"].notna().all()
    assert (demo_run.out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    for name in ("recordings", "run", "timeline.png"):
        assert str(demo_run.out / name) in demo_run.text


@pytest.mark.ray
def test_a_second_demo_does_nothing_again_and_says_so(demo_run):
    again = run(demo_run.out)

    assert again.exit_code == 0
    assert again.text.count("kept from an earlier demo") == 2
    assert "nothing to do" in again.text
    assert "3 of 3 actions found" in again.text
    assert again.seconds < 0.5 * demo_run.seconds


@pytest.mark.ray
def test_the_review_notebook_runs_on_the_demo(demo_run, repo, monkeypatch):
    monkeypatch.setenv("POSEACT_OUT", str(demo_run.out / "run"))
    notebook = nbformat.read(repo / "notebooks" / "review.ipynb", as_version=4)

    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(repo / "notebooks")}}
    ).execute()

    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2, "the band and the contact sheet"


def some_segments(*rows):
    names = ["camera_id", "action", "hand", "start_s", "end_s", "peak_score"]
    return pd.DataFrame(rows, columns=names)


WAVE = Acted(camera_id="gate", action="hello", hand="left", start_s=2.0, end_s=4.0)


@pytest.mark.parametrize(
    ("segments", "verdict"),
    [
        pytest.param([("gate", "hello", "left", 3.9, 5.0, 0.9)], "1 of 1", id="overlap counts"),
        pytest.param([("gate", "hello", "left", 4.0, 5.0, 0.9)], "0 of 1", id="touching does not"),
        pytest.param([("lobby", "hello", "left", 2.0, 4.0, 0.9)], "0 of 1", id="another camera"),
        pytest.param([("gate", "namaste", None, 2.0, 4.0, 0.9)], "0 of 1", id="another action"),
        pytest.param([], "0 of 1", id="nothing found"),
    ],
)
def test_found_is_the_same_camera_action_and_time(segments, verdict):
    text = compare([WAVE], some_segments(*segments))

    assert f"{verdict} actions found" in text
    assert ("missed" in text) == (verdict == "0 of 1")
    assert f"{len(segments) - int(verdict[0])} found that nobody acted" in text


def test_a_segment_that_nobody_acted_has_its_line():
    text = compare([], some_segments(("gate", "hello", "right", 1.0, 2.5, 0.81)))

    assert "hello 1.0-2.5" in text
    assert "0.81" in text


def test_recordings_of_another_demo_are_not_taken_for_ones_own(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "truth.json").write_text("[]")

    with pytest.raises(OutputError, match="another version of the demo"):
        run_demo(DemoConfig(out=tmp_path))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot be written"):
        run_demo(DemoConfig(out=tmp_path / "file"))
