"""Runs as users start them, on a Ray of their own, and what must be true of their tables."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import psutil
import pytest
from ray.cluster_utils import Cluster

from poseact.timeline.tables import read_timeline, read_videos
from poseact.video.encode import write_video

REPO = Path(__file__).resolve().parents[2]

RUN_TIME_COLUMNS = ["decode_s", "watch_s", "run_id"]
"""Columns of ``videos`` that tell of the run, not of the video."""

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # a token of an earlier Ray is nobody's business here
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes 127.0.0.1 for the network's address
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="session")
def record():
    """Write a recording of 320 x 240, a bright square over noise; a chunk is one second of it."""

    def write(path, *, num_frames, fps=5, seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed)

        def frames():
            for index in range(num_frames):
                rgb_HWC = noise.integers(60, 120, (240, 320, 3), np.uint8)
                left = (11 * seed + 5 * index) % 240
                rgb_HWC[80:160, left : left + 80] = (230, 190, 160)
                yield rgb_HWC

        write_video(path, frames(), fps=fps, gop_size=fps, max_b_frames=0)
        return path

    return write


@pytest.fixture
def command(models):
    """Return the command that a user gives, under settings with which untrained models see much."""

    def make(videos, out, **flags):
        settings = {
            "detector": "none",
            "pose-model": models.pose,
            "action-model": models.action,
            "min-pose-confidence": 0,
            "chunk-mib": 1,
            "rules.on": 0.3,
            "rules.off": 0.25,
            "rules.min-mean-score": 0,
            "rules.min-trunk-confidence": 0,
            **{name.replace("_", "-"): value for name, value in flags.items()},
        }
        given = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        script = str(REPO / "jobs" / "analyze.py")
        return [sys.executable, script, "--videos", str(videos), "--out", str(out), *given]

    return make


class Nodes:
    """A Ray of several nodes on this machine, and commands that are run on it."""

    def __init__(self, folder, monkeypatch):
        self._folder = folder
        self.cluster = Cluster()
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)

    def add(self, *, num_cpus, **environment):
        """Start a node, the head first; variables are in the environment of all that it runs."""
        return self.cluster.add_node(
            num_cpus=num_cpus,
            node_ip_address="127.0.0.1",
            temp_dir=str(self._folder),
            include_dashboard=False,
            env_vars=environment,
        )

    def kill(self, node):
        """Kill the raylet of a node, and so the node: its workers do not outlive it for long."""
        self.cluster.remove_node(node, allow_graceful=False)

    def workers(self, *nodes):
        """Return the workers of some nodes, or of all, that do something; each with its title."""
        raylets = [
            psutil.Process(node.all_processes["raylet"][0].process.pid)
            for node in nodes or self.cluster.list_all_nodes()
        ]
        titled = [(child, _command_line(child)) for one in raylets for child in one.children()]
        return [(child, title) for child, title in titled if title.startswith("ray::")]

    def run(self, command, *, timeout_s):
        """Run a command to its end, on this Ray."""
        return subprocess.run(
            command,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def start(self, command, log):
        """Start a command on this Ray; what it prints is added to a file."""
        with log.open("ab") as file:
            return subprocess.Popen(
                command, env=self.environment(), stdout=file, stderr=subprocess.STDOUT
            )

    def environment(self):
        return {**os.environ, "RAY_ADDRESS": self.cluster.address}

    def stop(self):
        self.cluster.shutdown()
        # what a killed raylet left behind is nobody's child, but names the folder
        _kill([p for p in psutil.process_iter() if str(self._folder) in _command_line(p)])


@pytest.fixture
def nodes(monkeypatch):
    """A Ray without nodes yet; all that belongs to it is below one folder."""
    # Ray's socket paths may have 107 characters, too few for pytest's folders
    with tempfile.TemporaryDirectory(prefix="pa", ignore_cleanup_errors=True) as folder:
        ray = Nodes(Path(folder), monkeypatch)
        yield ray
        ray.stop()


@pytest.fixture
def table_bytes():
    """Return the content of the files of ``timeline`` and ``segments``, by their names."""

    def read(out):
        return {
            str(path.relative_to(out)): path.read_bytes()
            for table in ("timeline", "segments")
            for path in sorted((out / table).rglob("*.parquet"))
        }

    return read


@pytest.fixture
def video_rows():
    """Return the rows of ``videos``, without what tells of the run."""

    def read(out):
        rows = read_videos(out).sort_values("uri", ignore_index=True)
        return rows.drop(columns=RUN_TIME_COLUMNS)

    return read


@pytest.fixture
def require_equal(table_bytes, video_rows):
    """Require that two folders hold the same tables, byte by byte where no run time is in them."""

    def require(out, reference):
        found, expected = table_bytes(out), table_bytes(reference)
        assert sorted(found) == sorted(expected)
        assert [name for name in found if found[name] != expected[name]] == []
        pd.testing.assert_frame_equal(video_rows(out), video_rows(reference))

    return require


@pytest.fixture
def count_frames():
    """Count the frames that are not in the timeline, and those that are twice.

    Recordings are given by the uri under which they were analysed: a file to count the frames of.
    """

    def count(out, recordings):
        timeline = read_timeline(out)
        ids = read_videos(out).set_index("uri")["video_id"]
        lost = doubled = 0
        for uri, path in recordings.items():
            with av.open(path) as container:
                num_frames = sum(1 for _ in container.decode(video=0))
            found = timeline["frame_index"][timeline["video_id"] == ids[uri]]
            lost += len({*range(num_frames)} - {*found})
            doubled += len(found) - len({*found})  # each frame shows one person
        return lost, doubled

    return count


@pytest.fixture
def wait_until():
    """Wait for something to be true; the log of a process that ends before tells why."""
    return _wait_until


def _wait_until(is_true, timeout_s, process, log):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"ended, or waited for in vain: {log.read_text()[-3000:]}")
        time.sleep(0.05)


def _kill(processes):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _command_line(process):
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
