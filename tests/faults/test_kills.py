"""Whatever process of a run is killed, and whenever: the tables are those of an undisturbed run.

By default a few kills show that nothing broke; ``POSEACT_FAULTS=all`` is the whole campaign, and
prints what it did (``-s``).
"""

import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter

import psutil
import pytest

from poseact.timeline.tables import read_videos

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(3600)]

EVERY = os.environ.get("POSEACT_FAULTS") == "all"
NUM_KILLS = 50 if EVERY else 7
NUM_VIDEOS = 24 if EVERY else 8
CHUNKS_PER_VIDEO = 16 if EVERY else 8
FPS = 5

SHARES = {"driver": 1, "Watch": 3, "Decode": 3, "finalize": 2, "record_plan": 1, "node": 1}
"""How often each kind of process is chosen, once at least."""

LAST_SHARE = 0.75
"""Of the chunks are done when the last process to kill is chosen: so that one is left to be."""

WAIT_SHARE = 0.15
"""Of the chunks may be done while a process of a kind is waited for, to start or to have work: then
it is the turn of the driver, which is always there."""

HANGS_AFTER_S = 300
"""Without a chunk done or a process killed."""


@pytest.fixture
def recordings(record, tmp_path):
    return [
        record(
            tmp_path / "yard" / f"camera{index % 3}" / f"gate{index}_20240131T{index:02}5958Z.mp4",
            num_frames=CHUNKS_PER_VIDEO * FPS,
            fps=FPS,
            seed=index,
        )
        for index in range(NUM_VIDEOS)
    ]


class Campaign:
    """Kills at random what a run consists of, until it was done often enough.

    Kills are spread over the progress of the run, so that all of them find something alive; some
    follow each other without any, so that what has just started is killed as well.
    """

    def __init__(self, nodes, start, out, num_kills):
        self.killed = Counter()
        self._nodes = nodes
        self._start = start
        self._out = out
        self._random = random.Random(num_kills)  # noqa: S311 - no secret
        self._kinds = self._chosen(num_kills)

    def _chosen(self, number):
        kinds = self._random.sample([*SHARES], len(SHARES))
        kinds.sort(key=lambda kind: kind != "record_plan")  # first: there is never more to plan
        kinds += self._random.choices([*SHARES], [*SHARES.values()], k=number)
        # planning is under way when a driver has started
        pairs = [["driver", kind] if kind == "record_plan" else [kind] for kind in kinds]
        return list(itertools.chain(*pairs))[:number]

    def run(self):
        """Start the run, again whenever its driver was killed; return its exit code."""
        self._driver = self._start()
        self._plan_next()
        progress, changed = 0, time.monotonic()
        while self._driver.poll() is None:
            if self._is_due(progress) and self._kill_one(progress):
                self._plan_next()
            now = self._progress()
            if now != progress:
                progress, changed = now, time.monotonic()
            if time.monotonic() - changed > HANGS_AFTER_S:
                self._driver.kill()
                self._driver.wait()
                pytest.fail(f"no chunk in {HANGS_AFTER_S} s, after {dict(self.killed)}")
            time.sleep(0.005)
        return self._driver.returncode

    def _plan_next(self):
        done = self.killed.total()
        self._is_last_done = done == len(self._kinds)
        if self._is_last_done:
            return
        self._kind = self._kinds[done]
        at_once = done % 4 == 3 or self._kind == "record_plan"
        num_chunks = NUM_VIDEOS * CHUNKS_PER_VIDEO
        share = LAST_SHARE * done / len(self._kinds)
        self._from_progress = 0 if at_once else share * num_chunks
        self._until_progress = (share + WAIT_SHARE) * num_chunks
        # planning follows the start of a driver, and is soon over
        longest_s = 0 if self._kind == "record_plan" else 5 if at_once else 0.5
        self._wait_s = self._random.uniform(0, longest_s)
        self._due_at = None

    def _is_due(self, progress):
        if self._is_last_done or progress < self._from_progress:
            return False
        if self._due_at is None:
            self._due_at = time.monotonic() + self._wait_s
        return time.monotonic() >= self._due_at or progress >= self._until_progress

    def _kill_one(self, progress):
        if self._kind == "driver":
            self._driver.kill()
            if self._driver.wait() != -signal.SIGKILL:  # it had ended by itself
                return False
            self._driver = self._start()
            self.killed["driver"] += 1
            return True
        if self._kind == "node":
            self._nodes.kill(self._random.choice([*self._nodes.cluster.worker_nodes]))
            self._nodes.add(num_cpus=1)
            self.killed["node"] += 1
            return True
        victims = [child for child, title in self._nodes.workers() if self._kind in title]
        if not victims:
            if progress >= self._until_progress:
                self._kind = "driver"
            return False
        if self._kind in {"finalize", "record_plan"}:  # at any moment of its short life
            time.sleep(self._random.uniform(0, 0.1))
        with contextlib.suppress(psutil.NoSuchProcess):
            self._random.choice(victims).kill()
            self.killed[self._kind] += 1
            return True
        return False

    def _progress(self):
        """Count the chunks that are done; those of a finished video have no receipts any more."""
        finished = {path.stem for path in (self._out / "videos").glob("[!.]*.parquet")}
        pending = 0
        with contextlib.suppress(FileNotFoundError):  # a folder went away: look again soon
            receipts = (self._out / "work").glob("*/receipts/*/[!.]*.json")
            pending = sum(1 for receipt in receipts if receipt.parent.name not in finished)
        return len(finished) * CHUNKS_PER_VIDEO + pending


def test_kills_change_nothing(nodes, recordings, command, require_equal, count_frames, tmp_path):
    out, undisturbed, log = tmp_path / "out", tmp_path / "undisturbed", tmp_path / "log"
    for _ in range(3):
        nodes.add(num_cpus=1)
    yard = tmp_path / "yard"
    reference = nodes.run(command(yard, undisturbed), timeout_s=600)
    assert reference.returncode == 0, reference.stdout + reference.stderr

    started = time.monotonic()
    campaign = Campaign(nodes, lambda: nodes.start(command(yard, out), log), out, NUM_KILLS)
    code = campaign.run()

    took_s = time.monotonic() - started
    assert code == 0, (campaign.killed, log.read_text()[-3000:])
    lost, doubled = count_frames(out, {str(path): path for path in recordings})
    print()  # noqa: T201 - the report of the campaign
    for kind, count in campaign.killed.items():
        print(f"{kind:12} {count:4} kills")  # noqa: T201 - the same
    print(f"{took_s:.0f} s; frames lost {lost}, doubled {doubled}")  # noqa: T201 - the same
    assert campaign.killed.total() == NUM_KILLS
    assert (lost, doubled) == (0, 0)
    assert set(read_videos(out)["status"]) == {"ok"}
    assert read_videos(out)["error_kind"].isna().all()
    require_equal(out, undisturbed)
    assert not (out / "work").exists()
    assert not (out / "lock.json").exists()
