import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poseact.video.encode import write_video

pytestmark = pytest.mark.timeout(600)  # two busy cores take minutes to start a Ray

NUM_FRAMES = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 frames at 20 per second; a square wanders over grey."""
    path = tmp_path_factory.mktemp("yard") / "walk.mp4"

    def frames():
        for index in range(NUM_FRAMES):
            rgb_HWC = np.full((120, 160, 3), 90, np.uint8)
            rgb_HWC[40:80, index : index + 40] = (220, 180, 150)
            yield rgb_HWC

    write_video(path, frames(), fps=20)
    return path


class Head:
    """A Ray head of its own, as `cluster/local.sh` starts it, on ports that are free."""

    def __init__(self, repo, folder, free_port):
        self.repo = repo
        self.folder = folder
        self.dashboard_port = free_port()
        self.ports = {
            "--port": free_port(),
            "--dashboard-port": self.dashboard_port,
            "--dashboard-agent-listen-port": free_port(),
            "--ray-client-server-port": free_port(),
        }
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": str(folder),  # a newcomer's: without a token of an earlier Ray
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "POSEACT_CLUSTER_DIR": str(folder / "head"),
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard_port}",
        }

    def start(self):
        flags = [f"{flag}={port}" for flag, port in self.ports.items()]
        return self.local("start", *flags, "--num-cpus=2", f"--object-store-memory={300 * 2**20}")

    def local(self, *arguments):
        return self._run(self.repo / "cluster" / "local.sh", *arguments)

    def submit(self, *entrypoint):
        """Submit as a user does: `source cluster/env.sh`, then `ray job submit`, which waits."""
        submit = 'source cluster/env.sh && exec ray job submit "$@"'
        command = ["--working-dir", ".", "--", *map(str, entrypoint)]
        return self._run("bash", "-c", submit, "bash", *command)

    def _run(self, *command):
        return subprocess.run(
            command,
            cwd=self.repo,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def log(self):
        return (self.folder / "head" / "head.log").read_text()

    def processes(self):
        """Command lines of all that runs below the head's folder."""
        lines = subprocess.run(["ps", "-ewwo", "args="], capture_output=True, text=True, check=True)
        return [line for line in lines.stdout.splitlines() if str(self.folder) in line]


@pytest.fixture(scope="module")
def head(repo, free_port):
    # Ray's socket paths may have 107 characters, too few for pytest's folders.
    with tempfile.TemporaryDirectory(prefix="pa", ignore_cleanup_errors=True) as folder:
        head = Head(repo, Path(folder), free_port)
        started = head.start()
        assert started.returncode == 0, started.stdout + started.stderr
        yield head
        stopped = head.local("stop")
        assert stopped.stdout == "the head has ended.\n"
        assert head.processes() == []


@pytest.mark.ray
def test_a_submitted_job_leaves_tables_that_plain_pandas_reads(head, video, tmp_path):
    out = tmp_path / "out"

    job = head.submit("python", "jobs/analyze.py", "--videos", video, "--out", out)

    assert job.returncode == 0, job.stdout + job.stderr + head.log()
    videos = pd.read_parquet(out / "videos")
    assert videos[["status", "frames_expected", "frames_analyzed"]].to_numpy().tolist() == [
        ["ok", NUM_FRAMES, NUM_FRAMES]
    ]
    timeline = pd.read_parquet(out / "timeline")
    assert timeline["frame_index"].tolist() == list(range(NUM_FRAMES))
    np.testing.assert_allclose(timeline["pts_s"], np.arange(NUM_FRAMES) / 20, atol=1e-6)


@pytest.mark.ray
def test_a_job_that_fails_says_why_in_one_line(head, tmp_path):
    job = head.submit(
        "python", "jobs/analyze.py", "--videos", tmp_path / "no.mp4", "--out", tmp_path / "out"
    )

    assert job.returncode == 1
    log = job.stdout + job.stderr
    assert f"error: {tmp_path / 'no.mp4'}" in log
    assert "Traceback" not in log


@pytest.mark.ray
def test_a_second_start_is_refused_and_leaves_the_head_alone(head):
    second = head.start()

    assert second.returncode == 2, head.log()
    assert second.stderr.startswith("error: a head already runs")
    assert head.processes()


def test_stopping_nothing_is_no_error(repo, tmp_path):
    result = subprocess.run(
        [repo / "cluster" / "local.sh", "stop"],
        env={**os.environ, "POSEACT_CLUSTER_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout) == (0, "no head runs.\n")


@pytest.mark.parametrize(
    ("script", "command"),
    [
        (["train_pose.py"], "train-pose"),
        (["train_action.py"], "train-action"),
        (["analyze.py"], "analyze"),
        (["rescore.py"], "rescore"),
        (["verify.py"], "verify"),
        (["evaluate.py", "pose"], "evaluate-pose"),
        (["evaluate.py", "action"], "evaluate-action"),
    ],
    ids=[
        "train_pose",
        "train_action",
        "analyze",
        "rescore",
        "verify",
        "evaluate pose",
        "evaluate action",
    ],
)
def test_a_job_takes_the_flags_of_its_command(repo, script, command):
    name, *kind = script

    result = subprocess.run(
        [sys.executable, repo / "jobs" / name, *kind, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.startswith(f"usage: poseact {command} ")


def test_evaluate_wants_to_know_what(repo):
    result = subprocess.run(
        [sys.executable, repo / "jobs" / "evaluate.py"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert "did you mean evaluate-pose?" in result.stderr
