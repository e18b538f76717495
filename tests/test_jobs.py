import contextlib
import os
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
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

    def submit(self, *entrypoint, wait=True, environment=None):
        """Submit as a user does: `source cluster/env.sh`, then `ray job submit`."""
        submit = 'source cluster/env.sh && exec ray job submit "$@"'
        command = ["--working-dir", ".", "--", *map(str, entrypoint)]
        if not wait:
            command = ["--no-wait", *command]
        return self._run("bash", "-c", submit, "bash", *command, environment=environment)

    def _run(self, *command, environment=None):
        return subprocess.run(
            command,
            cwd=self.repo,
            env={**self.environment, **(environment or {})},
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

    def family(self):
        """The head and all that it started, jobs included."""
        leader = psutil.Process(int((self.folder / "head" / "head.pid").read_text()))
        return [leader, *leader.children(recursive=True)]

    def ask(self, path, token=None, *, port=None, method="GET"):
        """Return the status of an HTTP answer on loopback."""
        connection = HTTPConnection("127.0.0.1", port or self.dashboard_port, timeout=60)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            return connection.getresponse().status

    def token(self):
        return (self.folder / ".ray" / "auth_token").read_text().strip()


@pytest.fixture(scope="module")
def head(repo, free_port):
    # Ray's socket paths may have 107 characters, too few for pytest's folders.
    with tempfile.TemporaryDirectory(prefix="pa", ignore_cleanup_errors=True) as folder:
        head = Head(repo, Path(folder), free_port)
        started = head.start()
        assert started.returncode == 0, started.stdout + started.stderr
        yield head
        family = head.family()
        stopped = head.local("stop")
        assert stopped.stdout == "the head has ended.\n"
        # Ray looks every second whether it must end a job that is left
        deadline = time.monotonic() + 20
        while head.processes() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert head.processes() == []
        assert [process for process in family if is_alive(process)] == []


def is_alive(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


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


STAND_IN = """
import os, subprocess, time
sleep = subprocess.Popen(["sleep", "600"], process_group=0)
print(sleep.pid, flush=True)
time.sleep(600)
"""

# Started by a job of its own session, as every job is, with workers; it outlives the tests, so that
# the fixture can look whether `stop` ends it.
LONG_JOB = """
import ray, time
ray.init()
sleep = ray.remote(lambda: time.sleep(3600))
running = [sleep.remote() for _ in range(2)]
print("the job sleeps", flush=True)
ray.get(running)
"""


def address_of(connection):
    address = ip_address(connection.laddr.ip)
    return getattr(address, "ipv4_mapped", None) or address


@pytest.mark.ray
def test_the_head_and_its_jobs_listen_on_loopback_alone(head, tmp_path):
    (tmp_path / "long.py").write_text(LONG_JOB)
    job = head.submit("python", tmp_path / "long.py", str(head.folder), wait=False)
    assert job.returncode == 0, job.stdout + job.stderr
    deadline = time.monotonic() + 300
    while sum(process.name().startswith("ray::<lambda>") for process in head.family()) < 2:
        assert time.monotonic() < deadline, [process.name() for process in head.family()]
        time.sleep(1)

    listening = {}
    for process in head.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # some live for a moment
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN or not connection.raddr:
                    address = address_of(connection), connection.laddr.port
                    listening[address] = process.name()

    open_to_others = {k: name for k, name in listening.items() if not k[0].is_loopback}
    assert open_to_others == {}
    ports = {port for _, port in listening}
    assert {int(port) for port in head.ports.values()} <= ports
    assert len(ports) > len(head.ports), "those of the raylet and the agents"


@pytest.mark.ray
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/jobs/", "GET"),
        ("/api/jobs/", "POST"),
        ("/api/cluster_status", "GET"),
        ("/api/v0/logs", "GET"),
        ("/nodes?view=summary", "GET"),
    ],
)
def test_the_dashboard_answers_those_with_the_token_alone(head, path, method):
    assert head.ask(path, method=method) == 401
    assert head.ask(path, "0" * len(head.token()), method=method) == 403


@pytest.mark.ray
def test_the_token_opens_the_dashboard_and_is_for_its_owner_alone(head):
    assert head.ask("/api/jobs/", head.token()) == 200
    assert (head.folder / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    assert (head.folder / "head").stat().st_mode & 0o077 == 0
    assert not any(head.token() in " ".join(process.cmdline()) for process in head.family())


@pytest.mark.ray
def test_the_agent_starts_no_job_without_the_token(head):
    port = head.ports["--dashboard-agent-listen-port"]

    assert head.ask("/api/job_agent/jobs/", port=port, method="POST") == 401


@pytest.mark.ray
@pytest.mark.parametrize("token", [None, "0" * 64], ids=["no token", "another token"])
def test_a_job_is_not_taken_without_the_token(head, tmp_path, token):
    """As another user of this machine would send it."""
    (tmp_path / "home").mkdir()
    stranger = {"HOME": str(tmp_path / "home"), "RAY_AUTH_MODE": "token" if token else "disabled"}
    if token:
        stranger["RAY_AUTH_TOKEN"] = token

    job = head.submit("touch", tmp_path / "made", environment=stranger)

    assert job.returncode != 0
    assert not (tmp_path / "made").exists()


def test_a_folder_of_somebody_else_is_not_used(repo, tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir(mode=0o777)
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    else:
        folder = Path("/")

    result = subprocess.run(
        [repo / "cluster" / "local.sh", "start"],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "POSEACT_CLUSTER_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert "belongs to somebody else" in result.stderr
    assert not (folder / "head.log").exists()


def test_stopping_ends_what_left_the_group_but_not_the_session(repo, tmp_path):
    """A stand-in for the head, whose service has a group of its own and outlives it."""
    (tmp_path / "sleeper.py").write_text(STAND_IN)
    command = [sys.executable, tmp_path / "sleeper.py", f"--temp-dir={tmp_path}/ray"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as leader:
        service = psutil.Process(int(leader.stdout.readline()))
        (tmp_path / "head.pid").write_text(f"{leader.pid}\n")

        result = subprocess.run(
            [repo / "cluster" / "local.sh", "stop"],
            env={**os.environ, "POSEACT_CLUSTER_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

        assert (result.returncode, result.stdout) == (0, "the head has ended.\n")
        assert not is_alive(service)
    assert not (tmp_path / "head.pid").exists()


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
