import re
from pathlib import Path

import pytest
import torch

from poseact import doctor
from poseact.doctor import DoctorConfig, Finding, Status
from poseact.errors import ConfigError

FINE = Finding(Status.OK, "disk", "90 GiB")
LOW = Finding(Status.WARN, "disk", "1 GiB", "free some")
BROKEN = Finding(Status.FAIL, "Ray", "no answer", "start it")


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param((3, 10), Status.FAIL, id="too old"),
        pytest.param((3, 11), Status.OK, id="oldest"),
        pytest.param((3, 12), Status.OK, id="newest"),
        pytest.param((3, 13), Status.FAIL, id="too new"),
    ],
)
def test_python_is_one_of_the_two_versions(version, status):
    assert doctor.check_python(version).status is status


def test_packages_that_differ_from_their_pins_are_named():
    numpy = pytest.importorskip("numpy").__version__

    finding = doctor.check_packages(
        [f"numpy=={numpy}", "pandas[all]==0.1", "no-such-package==2.0", "unpinned>=1"]
    )

    assert finding.status is Status.FAIL
    assert re.fullmatch(
        r"pandas [\d.]+ instead of 0\.1, no-such-package missing instead of 2\.0", finding.found
    )
    assert "uv sync" in finding.line()


def test_packages_as_pinned_are_fine():
    numpy = pytest.importorskip("numpy").__version__

    assert doctor.check_packages([f"numpy=={numpy}"]).line() == "ok    packages: 1 as pinned"


def test_a_torchvision_that_does_not_fit_torch_gets_its_cure(tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    finding = doctor.check_torchvision()

    assert finding.status is Status.FAIL
    assert finding.found == "RuntimeError: operator torchvision::nms does not exist"
    assert "uv sync --reinstall-package torch" in finding.cure


def test_a_gpu_that_only_the_driver_sees_is_a_warning():
    usable = torch.cuda.is_available()

    assert doctor.check_gpu(driver=True).status is (Status.OK if usable else Status.WARN)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        pytest.param("raise ValueError('bad\\nworse')", "worse", id="exception"),
        pytest.param("import os; os._exit(7)", "ended with code 7", id="silent end"),
        pytest.param("import os; os.abort()", "ended with code -6", id="crash"),
        pytest.param("import time; time.sleep(60)", "no answer within 2 s", id="hang"),
    ],
)
def test_a_probe_that_fails_is_a_finding(script, found):
    finding = doctor.probe("part", script, cure="mend it", timeout_s=2)

    assert finding == Finding(Status.FAIL, "part", found, "mend it")


def test_free_disk_of_a_folder_yet_to_be_made_is_that_of_its_parent(tmp_path):
    finding = doctor.check_free_disk(tmp_path / "a" / "b", 0)

    assert finding.status is Status.OK
    assert finding.found.endswith(f"GiB at {tmp_path}")


def test_little_free_disk_is_a_warning(tmp_path):
    assert doctor.check_free_disk(tmp_path, 1e9).status is Status.WARN


def test_a_small_object_store_is_a_warning(tmp_path):
    assert doctor.check_object_store(tmp_path, 0).status is Status.OK
    assert doctor.check_object_store(tmp_path, 1e9).status is Status.WARN
    assert doctor.check_object_store(Path("/no/such/place"), 1e9).status is Status.OK


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        pytest.param([FINE], 0, id="all fine"),
        pytest.param([FINE, LOW], 0, id="a warning is no failure"),
        pytest.param([BROKEN, FINE], 2, id="a failure"),
    ],
)
def test_the_exit_code_tells_of_failures_only(findings, code):
    assert doctor.report(findings) == code


def test_a_finding_is_one_line_with_what_to_do(capsys):
    doctor.report([FINE, LOW, BROKEN])

    assert capsys.readouterr().out.splitlines() == [
        "ok    disk: 90 GiB",
        "warn  disk: 1 GiB -> free some",
        "fail  Ray: no answer -> start it",
    ]


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match="min_free_gib"):
        DoctorConfig(min_free_gib=-1)


@pytest.mark.ray
def test_this_machine_is_ready(tmp_path, capsys):
    code = doctor.run_doctor(DoctorConfig(out=tmp_path))

    lines = capsys.readouterr().out.splitlines()
    assert code == 0, lines
    assert [line[6:].partition(":")[0] for line in lines] == [
        "Python",
        "packages",
        "torchvision",
        "GPU",
        "Ray",
        "free disk",
        "object store",
        "models",
    ]
