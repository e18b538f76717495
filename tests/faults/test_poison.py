"""Recordings that take their process along: found out, set aside, and told of.

No file is known that FFmpeg dies of for certain, so a shim beside Python (see ``shim``) makes it
die of files by their names; ours is as it is.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from poseact.storage import to_path
from poseact.timeline.tables import read_timeline, read_videos

# a dozen processes die, and two busy cores start another slowly
pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(900)]

SHIM = Path(__file__).with_name("shim")

EVERY = os.environ.get("POSEACT_FAULTS") == "all"

POISON_PTS_S = 1.5
"""In the second chunk: each holds a second."""

LAST_GOOD_S = 1.4
"""Of the frame before it, at 10 frames per second."""


POISON = {
    # frames; deaths; row of videos: status, kind, frames analysed, last good time
    "crash": (30, 3, ("partial", "Crashed", 20, 2.9)),
    "hang": (20, 3, ("partial", "Hung", 10, LAST_GOOD_S)),
    "probe_crash": (30, 3, ("failed", "Crashed", 0, None)),
}
if EVERY:  # a process for each death takes its time to start
    POISON["kill"] = (20, 10, ("partial", "Killed", 10, LAST_GOOD_S))
SOUND = {"good": 30, "better": 20}


@pytest.fixture
def poisoned(nodes, record, tmp_path):
    """Return a Ray on which FFmpeg dies of some files, and those who died so far, by file."""
    num_frames = {**SOUND, **{name: frames for name, (frames, *_) in POISON.items()}}
    for seed, (name, number) in enumerate(num_frames.items()):
        record(tmp_path / "yard" / f"{name}.mp4", num_frames=number, fps=10, seed=seed)
    log = tmp_path / "deaths"
    log.touch()
    poison = {"PYTHONPATH": str(SHIM), "POISON_LOG": str(log), "POISON_PTS_S": str(POISON_PTS_S)}
    nodes.add(num_cpus=2, **poison)
    return nodes, lambda: Counter(
        Path(line.split()[0]).stem for line in log.read_text().splitlines()
    )


@pytest.fixture(params=["disk", "store"] if EVERY else ["disk"])
def out(request, tmp_path):
    return tmp_path / "out" if request.param == "disk" else request.getfixturevalue("s3_folder")


def test_poison_is_set_aside_and_all_else_is_finished(
    poisoned, command, out, tmp_path, count_frames
):
    ray, deaths = poisoned
    yard = tmp_path / "yard"
    again = command(yard, out, frame_timeout_s=4)

    first = ray.run(again, timeout_s=600)

    assert first.returncode == 5, first.stdout + first.stderr
    expected_deaths = {name: times for name, (_, times, _) in POISON.items()}
    assert deaths() == expected_deaths
    videos = read_videos(out)
    videos = videos.astype(object).where(videos.notna(), None)
    videos.index = videos["uri"].map(lambda uri: Path(uri).stem)
    columns = ["status", "error_kind", "frames_analyzed", "last_good_pts_s"]
    for name, (_, times, row) in POISON.items():
        assert tuple(videos.loc[name, columns]) == pytest.approx(row)
        error = videos.loc[name, "error"]
        assert str(yard / f"{name}.mp4") in error
        assert f"{times} times" in error
        assert error in first.stdout
    assert set(videos.loc[[*SOUND], "status"]) == {"ok"}
    sound = {str(yard / f"{name}.mp4"): yard / f"{name}.mp4" for name in SOUND}
    assert count_frames(out, sound) == (0, 0)
    assert not (to_path(out) / "work").exists()

    timeline = read_timeline(out)
    second = ray.run(again, timeout_s=300)

    assert second.returncode == 5, second.stdout + second.stderr
    assert deaths() == {**expected_deaths, "probe_crash": 6}, "it is tried again, the others stand"
    assert read_timeline(out).equals(timeline)
    assert not (to_path(out) / "work").exists()
    assert not (to_path(out) / "lock.json").exists()
