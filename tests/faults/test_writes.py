"""Whatever happens to the folder of the results, the same command again gives the same results.

`forks.py` runs the analyses, without Ray. By default some of the places at which a fault can come
are tried; ``POSEACT_FAULTS=all`` tries every one.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poseact.video.encode import write_video

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
EVERY = os.environ.get("POSEACT_FAULTS") == "all"
RULES = {"on": 0.3, "off": 0.25, "min_mean_score": 0.0, "min_trunk_confidence": 0.0}
OTHER_RULES = {**RULES, "on": 0.31}
VARIES = ["decode_s", "watch_s", "run_id"]
"""Columns of `videos` that tell of the run, not of the video."""
PAGE = 4096


def some(places, number):
    """Return every place, or evenly spaced ones, first and last included."""
    places = list(places)
    if EVERY or len(places) <= number:
        return places
    return [places[i] for i in np.linspace(0, len(places) - 1, number).round().astype(int)]


class Runs:
    """Analyses of one small video of three chunks, each in a process of its own."""

    def __init__(self, process, folder, models, video):
        self.process, self.folder, self.models, self.video = process, folder, models, video
        self._num_folders = 0

    def new_out(self):
        self._num_folders += 1
        return self.folder / f"out{self._num_folders}"

    def settings(self, out, **changes):
        return {
            "videos": [str(self.video)],
            "out": str(out),
            "detector": "none",
            "pose_model": str(self.models.pose),
            "action_model": str(self.models.action),
            "min_pose_confidence": 0.0,
            "chunk_mib": 1,
            "rules": RULES,
            **changes,
        }

    def request(self, out, *, fault=None, at=0, argv=(), limit_bytes=None, **changes):
        request = {"settings": self.settings(out, **changes)}
        if fault:
            request |= {"fault": fault, "at": at, "argv": [*map(str, argv)]}
        return request if limit_bytes is None else {**request, "limit_bytes": limit_bytes}

    def __call__(self, out, **kwargs):
        self.process.stdin.write(json.dumps(self.request(out, **kwargs)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def process():
    command = [sys.executable, HERE / "forks.py"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def memory():
    """A folder in memory: thousands of files are put on the disk one by one."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder in it
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def runs(process, memory, models):
    noise = np.random.default_rng(0)
    frames = (noise.integers(60, 200, (240, 320, 3), np.uint8) for _ in range(12))
    video = memory / "yard" / "walk.mp4"
    video.parent.mkdir()
    write_video(video, frames, fps=4, gop_size=4)
    return Runs(process, memory, models, video)


def results(out):
    """Return what a finished run holds; whatever is left over would be among it."""
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    content = {
        name: path.read_bytes()
        for name, path in found.items()
        if name != "run.json" and not name.startswith("videos/")
    }
    rows = {
        name: pq.read_table(path).drop_columns(VARIES).to_pylist()
        for name, path in found.items()
        if name.startswith("videos/") and not path.name.startswith(".")
    }
    return {name: value for name, value in {**content, **rows}.items() if not is_litter(name)}


def is_litter(name):
    """Tell the unfinished file of a process that was killed; readers pass over it."""
    return Path(name).name.startswith(".") and name.endswith(".tmp")


@pytest.fixture(scope="module")
def undisturbed(runs):
    """The results of an analysis that nothing happened to, and the changes that it made."""

    def analyzed(**changes):
        out = runs.new_out()
        answer = runs(out, **changes)
        assert (answer["code"], answer["error"]) == (0, None), answer["message"]
        assert len(results(out)) == 3
        return results(out), answer["changes"]

    return analyzed()


@pytest.fixture(scope="module")
def with_other_rules(runs):
    out = runs.new_out()
    assert runs(out, rules=OTHER_RULES)["code"] == 0
    return results(out)


def assert_told(answer, *places):
    """Require one line of ours that names the place."""
    assert answer["error"] == "OutputError", answer["message"]
    assert len(answer["message"].splitlines()) == 1
    assert any(str(place) in answer["message"] for place in places), answer["message"]


def assert_finishes(runs, out, expected, **changes):
    answer = runs(out, **changes)
    assert (answer["code"], answer["error"]) == (0, None), answer["message"]
    assert results(out) == expected


def test_death_before_any_change_loses_nothing(runs, undisturbed):
    expected, changes = undisturbed
    for place in some(range(len(changes)), 12):
        out = runs.new_out()
        died = runs(out, fault="die", at=place)
        assert died["signal"] == 9, f"before {changes[place]}"
        again = runs(out)
        assert (again["code"], again["error"]) == (0, None), (changes[place], again["message"])
        assert results(out) == expected, changes[place]
        shutil.rmtree(out)


def test_death_twice_loses_nothing(runs, undisturbed):
    expected, changes = undisturbed
    places = some(range(len(changes)), 8)
    for first, second in zip(places, reversed(places), strict=True):
        out = runs.new_out()
        runs(out, fault="die", at=first)
        runs(out, fault="die", at=second)
        assert_finishes(runs, out, expected)
        shutil.rmtree(out)


def test_death_while_overwriting_ends_in_the_new_results(runs, undisturbed, with_other_rules):
    finished = runs.new_out()
    runs(finished)
    rehearsal = runs.new_out()
    shutil.copytree(finished, rehearsal)
    changes = runs(rehearsal, overwrite=True, rules=OTHER_RULES)["changes"]
    assert results(rehearsal) == with_other_rules

    for place in some(range(len(changes)), 10):
        out = runs.new_out()
        shutil.copytree(finished, out)
        died = runs(out, fault="die", at=place, overwrite=True, rules=OTHER_RULES)
        assert died["signal"] == 9, changes[place]
        assert_finishes(runs, out, with_other_rules, overwrite=True, rules=OTHER_RULES)
        shutil.rmtree(out)


def test_death_while_overwriting_is_no_way_to_the_old_results(runs, undisturbed, with_other_rules):
    """Going on without --overwrite after it began: refused, or finished; never a mixture."""
    expected, _ = undisturbed
    finished = runs.new_out()
    runs(finished)
    for place in some(range(90), 5):
        out = runs.new_out()
        shutil.copytree(finished, out)
        runs(out, fault="die", at=place, overwrite=True, rules=OTHER_RULES)
        answer = runs(out)
        assert answer["error"] in {None, "ConfigError"}, answer["message"]
        if answer["error"] is None:
            assert results(out) == expected
        shutil.rmtree(out)


@pytest.mark.parametrize("fault", ["read-only", "full", "quota"])
def test_a_change_that_fails_is_one_line_and_loses_nothing(fault, runs, undisturbed):
    expected, changes = undisturbed
    for place in some(range(len(changes)), 12):
        out = runs.new_out()
        answer = runs(out, fault=fault, at=place)
        if answer["error"] is None:  # of no consequence: the lock of one who is dead falls
            assert answer["code"] == 0
            (out / "lock.json").unlink(missing_ok=True)
            assert results(out) == expected, changes[place]
        else:
            assert_told(answer, out)
        assert_finishes(runs, out, expected)
        shutil.rmtree(out)


def test_a_folder_removed_before_any_change_is_told_or_complete(runs, undisturbed):
    expected, changes = undisturbed
    for place in some(range(len(changes)), 12):
        out = runs.new_out()
        answer = runs(out, fault="remove", at=place)
        if answer["error"]:
            assert_told(answer, out)
        elif out.exists() and any(out.iterdir()):
            assert results(out) == expected, changes[place]
        else:  # removed when all was done
            assert place > changes.index("mkdir videos"), changes[place]
        anew = runs(out)
        if anew["error"]:  # a row of a run that nobody knows any more was written after it was gone
            assert (anew["error"], place) == ("ConfigError", changes.index("mkdir videos"))
            assert "--overwrite" in anew["message"]
        assert_finishes(runs, out, expected, overwrite=bool(anew["error"]))
        shutil.rmtree(out)


@contextlib.contextmanager
def disk(folder, size_bytes):
    """Mount a file system of limited size, in memory."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("must not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, option):
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)


def test_a_full_disk_is_told_and_a_larger_one_goes_on(runs, undisturbed, tmp_path):
    expected, _ = undisturbed
    num_told = 0
    for pages in range(1, 100):
        with disk(tmp_path / "disk", pages * PAGE) as folder:
            out = folder / "out"
            answer = runs(out)
            if answer["error"] is None:
                assert results(out) == expected
                break
            num_told += 1
            assert_told(answer, out)
            remount(folder, "size=1g")
            assert_finishes(runs, out, expected)
    assert num_told >= 5


def test_a_file_larger_than_allowed_is_told(runs, undisturbed):
    expected, _ = undisturbed
    for limit_bytes in (0, 1, 64, 500, 1000, 2000, 4000):
        out = runs.new_out()
        assert_told(runs(out, limit_bytes=limit_bytes), out)
        assert_finishes(runs, out, expected)


def test_a_disk_for_reading_only_is_told(runs, undisturbed, tmp_path):
    expected, changes = undisturbed
    with disk(tmp_path / "disk", 1024**3) as folder:
        remount(folder, "ro")
        assert_told(runs(folder / "out"), folder / "out")
        remount(folder, "rw")
        assert_finishes(runs, folder / "out", expected)
    for place in some(range(len(changes)), 8):
        with disk(tmp_path / "disk", 1024**3) as folder:
            out = folder / "out"
            command = f"mount -o remount,ro {folder}"
            answer = runs(out, fault="run", at=place, argv=["sh", "-c", command])
            if "CalledProcessError" in answer["message"]:
                pass  # a file that was open there kept the disk from it
            elif answer["error"] is None:
                assert {**results(out), "lock.json": b""} == {**expected, "lock.json": b""}
            else:
                assert_told(answer, out)
            remount(folder, "rw")
            assert_finishes(runs, out, expected)


@pytest.mark.parametrize("damage", ["empty", "cut in half", "without its last byte", "zeros"])
def test_a_damaged_file_of_the_work_is_told_or_redone(damage, runs, undisturbed):
    expected, changes = undisturbed
    before_tables = next(i for i, change in enumerate(changes) if "segments" in change)
    before_end = changes.index("remove lock.json")
    for place in (before_tables, before_tables + 20, before_end):
        stopped = runs.new_out()
        runs(stopped, fault="die", at=place)
        files = [path.relative_to(stopped) for path in stopped.rglob("*") if path.is_file()]
        # finished tables are not read again
        files = [name for name in files if name.parts[0] not in {"segments", "timeline"}]
        for name in files if place == before_tables or EVERY else some(files, 4):
            out = runs.new_out()
            shutil.copytree(stopped, out)
            damaged(out / name, damage)
            assert_mended(runs, out, out / name, expected)
            shutil.rmtree(out)


def damaged(path, damage):
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut in half": content[:half],
            "without its last byte": content[:-1],
            "zeros": bytes(half) + content[half:],
        }[damage]
    )


def assert_mended(runs, out, path, expected):
    """Require that at most a few errors, each a line that names the file, lead to the results."""
    for _ in range(4):
        answer = runs(out)
        if answer["error"] is None:
            break
        assert answer["error"] != "traceback", answer["message"]
        assert len(answer["message"].splitlines()) == 1
        assert str(path) in answer["message"], answer["message"]
        if "Remove that file" in answer["message"]:
            path.unlink()
        if path.name == "run.json":  # which settings the folder holds cannot be told any more
            return
    assert answer["code"] == 0
    assert results(out) == expected, path


@pytest.fixture
def recordings(runs, tmp_path):
    """A folder of two copies of the video."""
    folder = tmp_path / "yard"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(runs.video, folder / name)
    return folder


def videos_of(out):
    rows = [
        row
        for path in (out / "videos").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    return {Path(row["uri"]).name: row["status"] for row in rows}


@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_a_file_that_changes_after_a_kill_leaves_nothing_behind(
    change, runs, undisturbed, recordings
):
    _, changes = undisturbed
    place = next(i for i, c in enumerate(changes) if "receipts" in c and "rename" in c) + 1
    out = runs.new_out()
    yard = {"videos": [str(recordings)]}
    assert runs(out, fault="die", at=place, **yard)["signal"] == 9
    assert list((out / "work").rglob("*.json"))
    changed = recordings / "a.mp4"
    if change == "gone":
        changed.unlink()
    elif change == "touched":
        os.utime(changed, (1e9, 1e9))
    else:
        changed.write_bytes(changed.read_bytes() + bytes(8))

    again = runs(out, **yard)

    assert (again["code"], again["error"]) == (0, None), again["message"]
    left = {"b.mp4"} if change == "gone" else {"a.mp4", "b.mp4"}
    assert videos_of(out) == dict.fromkeys(left, "ok")
    assert not (out / "work").exists()


def test_what_a_kill_left_of_other_videos_stays_for_their_command(runs, undisturbed, recordings):
    _, changes = undisturbed
    out = runs.new_out()
    assert runs(out, fault="die", at=len(changes) // 2, videos=[str(recordings)])["signal"] == 9
    left = {path.name for path in (out / "work").glob("*/manifest/*.json")}
    assert len(left) == 2

    assert runs(out, videos=[str(recordings / "b.mp4")])["code"] == 0

    assert len({path.name for path in (out / "work").glob("*/manifest/*.json")}) == 1
    assert runs(out, videos=[str(recordings)])["code"] == 0
    assert videos_of(out) == {"a.mp4": "ok", "b.mp4": "ok"}
    assert not (out / "work").exists()


@pytest.mark.parametrize("trouble", ["not to be opened", "not there"])
def test_a_file_that_comes_back_is_analysed_as_if_nothing_had_been(trouble, runs, recordings):
    expected = runs.new_out()
    assert runs(expected, videos=[str(recordings)])["code"] == 0
    video = recordings / "a.mp4"
    aside = video.with_suffix(".aside")
    if trouble == "not there":
        video.rename(aside)
        video.symlink_to("nowhere")
    else:  # of the same size and time, so the same video
        shutil.copy2(video, aside)
        video.write_bytes(bytes(video.stat().st_size))
        shutil.copystat(aside, video)
    out = runs.new_out()
    first = runs(out, videos=[str(recordings)])
    assert first["code"] == 5, first["message"]
    assert videos_of(out) == {"a.mp4": "failed", "b.mp4": "ok"}

    aside.replace(video)

    assert runs(out, videos=[str(recordings)])["code"] == 0
    assert results(out) == results(expected)


def test_results_outlive_the_video(runs, recordings):
    """A file that was cut by a failing disk, and cannot be opened at all by the next run."""
    out = runs.new_out()
    yard = {"videos": [str(recordings)]}
    assert runs(out, **yard)["code"] == 0
    finished = results(out)
    row = next(path for path in (out / "videos").glob("*") if b"a.mp4" in path.read_bytes())
    table = pq.read_table(row)
    passing = {"status": "partial", "error_kind": "VideoError", "error": "the disk went away"}
    pq.write_table(
        pa.Table.from_pylist([{**table.to_pylist()[0], **passing}], schema=table.schema), row
    )
    video = recordings / "a.mp4"
    status = video.stat()
    video.write_bytes(bytes(status.st_size))
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert runs(out, **yard)["code"] == 5

    assert videos_of(out) == {"a.mp4": "partial", "b.mp4": "ok"}
    assert results(out).keys() == finished.keys()


def test_a_second_run_is_refused_and_the_first_completes(runs, undisturbed, tmp_path):
    expected, changes = undisturbed
    out = runs.new_out()
    request = tmp_path / "request.json"
    request.write_text(json.dumps(runs.request(out)) + "\n")
    told = tmp_path / "told.json"
    second = f"{sys.executable} {HERE / 'forks.py'} < {request} > {told}"

    first = runs(out, fault="run", at=len(changes) // 2, argv=["sh", "-c", second])

    assert first["code"] == 0, first["message"]
    assert results(out) == expected
    refused = json.loads(told.read_text())
    assert_told(refused, out)
    assert "another run writes into this folder (process " in refused["message"]
    assert " s ago" in refused["message"]
