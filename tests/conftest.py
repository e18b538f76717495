"""What every test may use: real data, small models, one local Ray, a free port, few threads."""

import os

# Read once, when torch, OpenCV and Ray are imported: before everything else in this process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Under `uv run` Ray would start each of its workers by another `uv run`, which is slow and fails.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
# As the package does, for a test that starts Ray before it imports the package.
os.environ.setdefault("RAY_agent_register_timeout_ms", "180000")
# A test must not join, and then shut down, a cluster that happens to run on this machine.
os.environ.pop("RAY_ADDRESS", None)

import contextlib
import dataclasses
import gc
import html
import json
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

REPO = Path(__file__).resolve().parents[1]

# Below the ports that Linux gives to whoever asks for any (32768 and up), and above those of Ray's
# workers (10002 to 19999): a Ray beside the test opens many of both.
_PORTS = random.sample(range(20_000, 32_000), k=1_000)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the working tree, where `jobs/` and `cluster/` are."""
    return REPO


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real pictures and videos; a test that needs it is skipped without it."""
    folder = Path(os.environ.get("POSEACT_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}; set POSEACT_DATA")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray of two CPUs for the whole session; tests share it and leave it running."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        object_store_memory=512 * 1024**2,
        include_dashboard=False,
        log_to_driver=True,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Bundles of untrained networks, by kind: quick, and the same every time."""
    import torch

    from poseact.models.action import FrameShape
    from poseact.models.bundle import write_bundle
    from poseact.models.detector import DetectorNet, DetectorShape
    from poseact.models.heatmaps import HeatmapNet, HeatmapShape

    folder = tmp_path_factory.mktemp("models")

    def write(kind: str, shape: Any, net: torch.nn.Module, **more: object) -> Path:
        architecture = dataclasses.asdict(shape)
        manifest = {"kind": kind, "name": "untrained", "architecture": architecture, **more}
        write_bundle(folder / kind, manifest=manifest, tensors=net.state_dict())
        return folder / kind

    torch.manual_seed(3)
    pose_shape = HeatmapShape(input_px=64, stem=8, widths=(8, 8, 8, 8), decoder=8)
    pose = write("pose", pose_shape, HeatmapNet(pose_shape))
    classes = ("namaste", "hello", "other")
    action = write("action", FrameShape(), FrameShape().new_net(len(classes)), classes=classes)
    shape = DetectorShape(input_px=96, stem=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), neck=8)
    net = DetectorNet(shape)
    torch.nn.init.normal_(net.middles[-1].weight, std=3.0)  # so that scores differ
    torch.nn.init.zeros_(net.middles[-1].bias)
    detector = write("detector", shape, net, threshold=0.51)
    return SimpleNamespace(pose=pose, action=action, detector=detector)


def _free_port() -> int:
    while True:
        port = _PORTS.pop()
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Find a TCP port on loopback that nobody listens on, nor will until the test takes it."""
    return _free_port


# For all tests, so that none asks Amazon, and before Ray starts, so that its workers know it too.
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{_free_port()}"
os.environ["AWS_ACCESS_KEY_ID"] = "test"
os.environ["AWS_SECRET_ACCESS_KEY"] = "test"  # noqa: S105 - our own server takes any
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


class S3:
    """The S3 server of the tests, asked without any code of the package."""

    bucket = "bucket"

    def keys(self, folder: str = "") -> list[str]:
        """Return the keys below a location such as ``s3://bucket/folder``, in order."""
        prefix = folder.removeprefix(f"s3://{self.bucket}").lstrip("/")
        listing = self._ask(f"/{self.bucket}?list-type=2&prefix={quote(prefix)}")
        return [html.unescape(key) for key in re.findall("<Key>(.*?)</Key>", listing, re.DOTALL)]

    def requests(self) -> list[str]:
        """Return the requests since the last time, each as ``METHOD /bucket/key?query``."""
        log: list[str] = json.loads(self._ask("/-/requests"))
        return log

    @contextlib.contextmanager
    def refusing(self, pattern: str) -> Iterator[None]:
        """Refuse requests in whose line the pattern is found."""
        self._ask(f"/-/refuse?{quote(pattern)}", "PUT")
        try:
            yield
        finally:
            self._ask("/-/refuse?", "PUT")

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self._ask(f"/{self.bucket}/{quote(key)}", "PUT", content)

    def _ask(self, url: str, method: str = "GET", content: bytes | None = None) -> str:
        request = urllib.request.Request(  # noqa: S310 - our own server
            os.environ["AWS_ENDPOINT_URL"] + url,
            content,
            {"Content-Type": "application/octet-stream"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
            return str(answer.read().decode())


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One S3 server with one bucket for the whole session, in a process of its own."""
    port = os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]
    script = Path(__file__).with_name("s3_server.py")
    with subprocess.Popen([sys.executable, str(script), port]) as server:
        try:
            _wait_for(int(port), server)
            s3 = S3()
            s3._ask(f"/{s3.bucket}", "PUT")  # noqa: SLF001 - our own
            yield s3
        finally:
            server.kill()


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """The S3 server, its log of requests empty."""
    s3_server.requests()
    return s3_server


@pytest.fixture
def s3_folder(s3: S3, tmp_path: Path) -> str:
    """Location of an empty folder in the S3 server, another one for each test."""
    return f"s3://{s3.bucket}/{tmp_path.parent.name}/{tmp_path.name}"


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail("the S3 server of the tests does not start")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make room for tests marked `ray`; skip those marked `gpu` where torch finds no device."""
    if item.get_closest_marker("ray"):
        gc.collect()  # the actors of a run that failed live as long as its error, a cycle
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
