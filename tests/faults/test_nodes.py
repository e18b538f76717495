"""A cluster of three nodes, all on this machine: one dies, or one is not like the others."""

import os
import shutil
import subprocess

import pytest

from poseact.storage import to_path
from poseact.timeline.tables import read_segments, read_timeline, read_videos

# each node takes up to a minute to start on two busy cores
pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(1200)]

NUM_VIDEOS = 8
CHUNKS_PER_VIDEO = 8
FPS = 5


@pytest.fixture
def recordings(record, tmp_path):
    return [
        record(
            tmp_path / "yard" / f"gate{index}_20240131T{index:02}0000Z.mp4",
            num_frames=CHUNKS_PER_VIDEO * FPS,
            fps=FPS,
            seed=index,
        )
        for index in range(NUM_VIDEOS)
    ]


def num_receipts(out):
    """Count chunks that are done, of videos that are not."""
    return sum(1 for _ in (to_path(out) / "work").glob("*/receipts/*/*.json"))


@pytest.mark.skipif(
    os.environ.get("POSEACT_FAULTS") != "all",
    reason="takes minutes; POSEACT_FAULTS=all tries it",
)
def test_a_node_that_dies_loses_nothing_of_results_in_a_store(
    recordings, nodes, command, wait_until, count_frames, s3, s3_folder, tmp_path
):
    """Nodes that share a disk die in ``test_kills``."""
    prefix = s3_folder.removeprefix(f"s3://{s3.bucket}/")
    for path in recordings:
        s3.put(f"{prefix}/yard/{path.name}", path.read_bytes())
    yard, out, undisturbed = (f"{s3_folder}/{name}" for name in ("yard", "out", "undisturbed"))
    log = tmp_path / "log"
    *_, doomed = [nodes.add(num_cpus=1) for _ in range(3)]

    driver = nodes.start(command(yard, out), log)
    # not before it has something to do, and not when all is nearly done
    wait_until(lambda: num_receipts(out) > CHUNKS_PER_VIDEO, 600, driver, log)
    busy = [title for _, title in nodes.workers(doomed) if "MapBatches" in title]
    nodes.kill(doomed)
    code = driver.wait(600)
    reference = nodes.run(command(yard, undisturbed), timeout_s=600)

    assert code == 0, log.read_text()[-3000:]
    assert reference.returncode == 0, reference.stdout + reference.stderr
    assert busy
    assert count_frames(out, {f"{yard}/{p.name}": p for p in recordings}) == (0, 0)
    assert set(read_videos(out)["status"]) == {"ok"}
    assert read_timeline(out).equals(read_timeline(undisturbed))
    assert read_segments(out).equals(read_segments(undisturbed))
    assert num_receipts(out) == 0
    assert not (to_path(out) / "lock.json").exists()


def test_nodes_that_do_not_see_the_results_are_refused(nodes, command, record, tmp_path):
    require_mounts(tmp_path)
    video = record(tmp_path / "yard" / "gate.mp4", num_frames=10)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for _ in range(2):
        nodes.add(num_cpus=1)
    alone = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', shelf]

    run = nodes.run([*alone, *command(video, shelf / "out")], timeout_s=120)

    assert run.returncode == 2, run.stdout + run.stderr
    assert f"{shelf / 'out'}: 2 of 2 nodes do not have this folder" in run.stderr
    assert not list(shelf.iterdir())


def require_mounts(folder):
    """Skip the test where it may not mount anything."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    try_it = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", str(folder)]
    tried = subprocess.run(try_it, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"may not mount anything: {tried.stderr.strip()}")
