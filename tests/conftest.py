"""What every test may use: the real data, one local Ray, a free port, few threads."""

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
import gc
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


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
def free_port() -> Callable[[], int]:
    """Find a TCP port on loopback that nobody listens on, nor will until the test takes it.

    It lies below the ports that Linux gives to whoever asks for any (32768 and up), and above
    those of Ray's workers (10002 to 19999): a Ray beside the test opens many of both.
    """
    ports = random.sample(range(20_000, 32_000), k=1_000)

    def find() -> int:
        while True:
            port = ports.pop()
            with socket.socket() as listener, contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return port

    return find


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make room for tests marked `ray`; skip those marked `gpu` where torch finds no device."""
    if item.get_closest_marker("ray"):
        gc.collect()  # the actors of a run that failed live as long as its error, a cycle
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
