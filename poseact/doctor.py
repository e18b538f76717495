"""``poseact doctor``: is this machine ready, and if not, what to do about it."""

import dataclasses
import enum
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from poseact.errors import ConfigError

MIN_OBJECT_STORE_GIB = 1.0
"""Two workers hold a few chunks of decoded frames each, 128 MiB a chunk by default."""

PROBE_TIMEOUT_S = 180
"""A cold start of Ray from a slow disk takes up to a minute; twice that is a failure."""

# A damaged installation may end the process that imports it, so each probe has its own. Its last
# line of output is the finding, and its last line of error output the reason for a failure.
TORCHVISION_PROBE = """
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
torchvision.ops.nms(boxes, torch.ones(1), 0.5)
print(f"torch {torch.__version__} with torchvision {torchvision.__version__}")
"""
GPU_PROBE = """
import torch
if torch.cuda.is_available():
    gpu = torch.cuda.get_device_properties(0)
    torch.ones(8, device="cuda").sum().item()
    print(f"{torch.cuda.device_count()} x {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
else:
    print("none; everything runs on the CPU")
"""
RAY_PROBE = """
import ray
from poseact.ray_session import ray_session
with ray_session():
    assert ray.get(ray.remote(lambda: 6 * 7).remote(), timeout=120) == 42
    cpus, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
    nodes = sum(node["Alive"] for node in ray.nodes())
    print(f"a remote task ran; {nodes} node(s) with {cpus} CPUs, {gpus} GPUs")
"""
MODELS_PROBE = """
import numpy as np
from poseact.models.action import load_action
from poseact.models.runtime import load_pose
pose, action = load_pose(None, "auto"), load_action(None)
action.predict(pose.predict(np.zeros((1, pose.input_px, pose.input_px, 3), np.uint8)))
print(f"{pose.model_id}, {action.model_id}")
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Check that this machine is ready, and say what to do where it is not."""

    out: Path = Path()
    """Folder that results shall be written to."""

    min_free_gib: float = 10.0
    """Free disk below which there is a warning, in GiB."""

    def __post_init__(self) -> None:
        if self.min_free_gib < 0:
            raise ConfigError(f"min_free_gib must be at least 0, got {self.min_free_gib}.")


class Status(enum.Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found, and the cure where it is not fine."""

    status: Status
    what: str
    found: str
    cure: str = ""

    def line(self) -> str:
        """Return the finding as the one line that is printed."""
        cure = "" if self.status is Status.OK else f" -> {self.cure}"
        return f"{self.status.value:<4}  {self.what}: {self.found}{cure}"


def run_doctor(config: DoctorConfig) -> int:
    """Print one line per check.

    Returns:
        0 if nothing failed (warnings are no failures), else 2.
    """
    return report(_checks(config))


def report(findings: Iterable[Finding]) -> int:
    """Print findings as they come in; return the exit code they amount to."""
    failed = False
    for finding in findings:
        print(finding.line(), flush=True)
        failed |= finding.status is Status.FAIL
    return ConfigError.exit_code if failed else 0


def _checks(config: DoctorConfig) -> Iterator[Finding]:
    yield check_python(sys.version_info[:2])
    yield check_packages(metadata.requires("poseact") or [])
    yield check_torchvision()
    yield check_gpu(driver=Path("/proc/driver/nvidia").exists())
    yield probe(
        "Ray",
        RAY_PROBE,
        cure="unset RAY_ADDRESS if no cluster is meant, or `source cluster/env.sh` to reach one "
        "that wants a token; the reason is in the newest folder of /tmp/ray, file logs/raylet.out",
    )
    yield check_free_disk(config.out, config.min_free_gib)
    yield check_object_store(Path("/dev/shm"), MIN_OBJECT_STORE_GIB)  # noqa: S108  # Ray keeps objects there
    yield probe(
        "models",
        MODELS_PROBE,
        cure="install poseact again: the bundles in poseact/weights are missing or damaged",
    )


def check_python(version: tuple[int, int]) -> Finding:
    """Check the interpreter's (major, minor) version."""
    ok = (3, 11) <= version < (3, 13)
    return Finding(
        Status.OK if ok else Status.FAIL,
        "Python",
        ".".join(map(str, version)),
        "poseact needs 3.11 or 3.12; `uv sync --python 3.12` makes such an environment",
    )


def check_packages(requirements: list[str]) -> Finding:
    """Compare installed versions with pins such as ``torch==2.13.0`` or ``ray[data]==2.60.0``."""
    pins = [re.match(r"([\w.-]+)(?:\[.*\])?==([\w.!-]+)", text) for text in requirements]
    different = [
        f"{pin[1]} {installed or 'missing'} instead of {pin[2]}"
        for pin in pins
        if pin and (installed := _installed(pin[1])) != pin[2]
    ]
    return Finding(
        Status.FAIL if different else Status.OK,
        "packages",
        ", ".join(different) or f"{len(requirements)} as pinned",
        "`uv sync` installs the pinned versions",
    )


def _installed(package: str) -> str | None:
    try:
        # What follows `+` names the build (`2.13.0+cpu`), not the version.
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def check_torchvision() -> Finding:
    """Import torchvision and call one of the operators that it compiles for one torch only."""
    return probe(
        "torchvision",
        TORCHVISION_PROBE,
        cure="`pip install torch` may bring a build that torchvision does not fit (operator "
        "torchvision::nms does not exist); `uv sync --reinstall-package torch "
        "--reinstall-package torchvision` installs the matching pair",
    )


def check_gpu(*, driver: bool) -> Finding:
    """Look for a GPU that torch can use; one that only the driver sees is a warning."""
    cure = "torch cannot use the GPU of this machine; `nvidia-smi` shows if the driver is too old"
    finding = probe("GPU", GPU_PROBE, cure=cure)
    if finding.status is Status.OK and driver and finding.found.startswith("none"):
        return dataclasses.replace(finding, status=Status.WARN)
    return finding


def check_free_disk(folder: Path, min_free_gib: float) -> Finding:
    """Check the room for results at a folder, which need not exist yet."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    free_gib = shutil.disk_usage(existing).free / 2**30
    return Finding(
        Status.OK if free_gib >= min_free_gib else Status.WARN,
        "free disk",
        f"{free_gib:.1f} GiB at {existing}",
        f"less than {min_free_gib:g} GiB; results and Ray's spilled objects need room: free some, "
        "or pass another --out",
    )


def check_object_store(shared_memory: Path, min_gib: float) -> Finding:
    """Check the room for the frames that Ray keeps in shared memory."""
    if not shared_memory.exists():
        return Finding(Status.OK, "object store", f"no {shared_memory}; Ray uses the disk")
    size_gib = shutil.disk_usage(shared_memory).total / 2**30
    return Finding(
        Status.OK if size_gib >= min_gib else Status.WARN,
        "object store",
        f"{size_gib:.1f} GiB of {shared_memory}",
        "Ray will use the disk, which is slow; start a container with `--shm-size=4g`, or mount "
        "an emptyDir of medium Memory",
    )


def probe(what: str, script: str, *, cure: str, timeout_s: float = PROBE_TIMEOUT_S) -> Finding:
    """Run a script in a Python of its own; a failure, crash or hang becomes a finding."""
    environment = {**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    try:
        result = subprocess.run(  # noqa: S603  # the scripts are the constants above
            [sys.executable, "-c", script],
            capture_output=True,
            check=False,
            env=environment,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Finding(Status.FAIL, what, f"no answer within {timeout_s:g} s", cure)
    if result.returncode:
        reason = _last_line(result.stderr) or f"ended with code {result.returncode}"
        return Finding(Status.FAIL, what, reason, cure)
    return Finding(Status.OK, what, _last_line(result.stdout))


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
