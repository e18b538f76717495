"""Recordings that take their process along: found out, set aside, and told of.

No file is known that FFmpeg dies of for certain, so a shim beside Python (see ``shim``) makes it
die of files by their names; ours is as it is.
"""

from collections import Counter
from pathlib import Path

import pytest

from poseact.timeline.tables import read_timeline, read_videos

# sixteen processes die, and two busy cores start another slowly
pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(900)]

SHIM = Path(__file__).with_name("shim")

POISON_PTS_S = 1.5
"""In the second chunk: each holds a second."""

LAST_GOOD_S = 1.4
"""Of the frame before it, at 10 frames per second."""


@pytest.fixture
def poisoned(nodes, record, tmp_path):
    """Return a Ray on which FFmpeg dies of some files, and those who died so far, by file."""
    for seed, (name, num_frames) in enumerate(
        {"crash": 30, "hang": 20, "kill": 20, "probe_crash": 30, "good": 30, "better": 20}.items()
    ):
        record(tmp_path / "yard" / f"{name}.mp4", num_frames=num_frames, fps=10, seed=seed)
    log = tmp_path / "deaths"
    log.touch()
    poison = {"PYTHONPATH": str(SHIM), "POISON_LOG": str(log), "POISON_PTS_S": str(POISON_PTS_S)}
    nodes.add(num_cpus=2, **poison)
    return nodes, lambda: Counter(
        Path(line.split()[0]).stem for line in log.read_text().splitlines()
    )


def test_poison_is_set_aside_and_all_else_is_finished(poisoned, command, tmp_path, count_frames):
    ray, deaths = poisoned
    yard, out = tmp_path / "yard", tmp_path / "out"

    def of(*names):
        return {str(yard / f"{name}.mp4"): yard / f"{name}.mp4" for name in names}

    again = command(yard, out, frame_timeout_s=4)

    first = ray.run(again, timeout_s=600)

    assert first.returncode == 5, first.stdout + first.stderr
    assert deaths() == {"crash": 3, "hang": 3, "kill": 10, "probe_crash": 3}
    videos = read_videos(out)
    videos = videos.astype(object).where(videos.notna(), None)
    videos.index = videos["uri"].map(lambda uri: Path(uri).stem)
    columns = ["status", "error_kind", "frames_analyzed"]
    assert {name: tuple(row) for name, row in videos[columns].T.items()} == {
        "crash": ("partial", "Crashed", 20),
        "hang": ("partial", "Hung", 10),
        "kill": ("partial", "Killed", 10),
        "probe_crash": ("failed", "Crashed", 0),
        "good": ("ok", None, 30),
        "better": ("ok", None, 20),
    }
    assert count_frames(out, of("good", "better")) == (0, 0)
    assert count_frames(out, of("crash")) == (10, 0)
    for name, times, last_good_s in [
        ("crash", 3, 2.9),
        ("hang", 3, LAST_GOOD_S),
        ("kill", 10, LAST_GOOD_S),
        ("probe_crash", 3, None),
    ]:
        row = videos.loc[name]
        assert str(yard / f"{name}.mp4") in row["error"]
        assert f"{times} times" in row["error"]
        assert row["error"] in first.stdout
        assert row["last_good_pts_s"] == pytest.approx(last_good_s)
    assert not (out / "work").exists()

    timeline = read_timeline(out)
    second = ray.run(again, timeout_s=300)

    assert second.returncode == 5, second.stdout + second.stderr
    assert deaths() == {"crash": 3, "hang": 3, "kill": 10, "probe_crash": 6}
    assert read_timeline(out).equals(timeline)
    assert not (out / "work").exists()
    assert not (out / "lock.json").exists()
