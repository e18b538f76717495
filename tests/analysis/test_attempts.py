"""Processes that really crash, hang and are killed in the middle of a stage."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from poseact.analysis.attempts import MAX_FAULTS, MAX_KILLS, Attempts
from poseact.errors import OutputError
from poseact.storage import remove_tree, to_path

pytestmark = pytest.mark.faults

TIMEOUT_S = 2.0

DEATHS = {
    "Crashed": "ctypes.string_at(0)",
    "Hung": "ctypes.PyDLL(None).sleep(600)",  # holds the interpreter's lock
    "Killed": "os.kill(os.getpid(), signal.SIGKILL)",
}

PROGRAM = """
import ctypes, os, signal, sys
from poseact.analysis.attempts import Attempts
from poseact.storage import to_path

with Attempts(to_path(sys.argv[1])).start("v-0", "decode", {timeout_s}) as attempt:
    attempt.reached(1.0)
    attempt.reached(2.5)
    {death}
"""


@pytest.fixture
def attempts(tmp_path):
    (tmp_path / "attempts").mkdir()
    return Attempts(tmp_path / "attempts")


@pytest.fixture
def die(attempts):
    return lambda kind: die_in(attempts.root, kind)


def die_in(root, kind):
    program = PROGRAM.format(timeout_s=TIMEOUT_S, death=DEATHS[kind])
    return subprocess.run([sys.executable, "-c", program, str(root)], check=False).returncode


def poison_in(attempts, unit="v-0", stage="decode"):
    with attempts.start(unit, stage) as attempt:
        return attempt.poison


@pytest.mark.parametrize("kind", ["Crashed", "Hung"])
def test_a_stage_that_crashes_or_hangs_three_times_is_not_started_again(attempts, die, kind):
    codes = [die(kind) for _ in range(MAX_FAULTS)]

    poison = poison_in(attempts)

    assert 0 not in codes
    assert poison.error_kind == kind
    assert poison.last_good_pts_s == 2.5
    assert "3 times, last after 2.500 s" in poison.error
    assert not list(attempts.root.iterdir())


def test_two_crashes_are_forgiven_and_forgotten_when_the_third_start_ends_well(attempts, die):
    for _ in range(MAX_FAULTS - 1):
        die("Crashed")

    with attempts.start("v-0", "decode") as attempt:
        assert attempt.poison is None

    assert not list(attempts.root.iterdir())


def test_a_kill_comes_from_outside_and_counts_less(attempts, die):
    assert die("Killed") == -signal.SIGKILL
    [left] = attempts.root.iterdir()
    for number in range(MAX_KILLS - 2):
        (attempts.root / f"v-0.decode.{number}").write_bytes(left.read_bytes())

    with pytest.raises(KeyboardInterrupt), attempts.start("v-0", "decode"):
        raise KeyboardInterrupt  # ended, not died: what was before counts on
    (attempts.root / "v-0.decode.last").write_bytes(left.read_bytes())
    poison = poison_in(attempts)

    assert poison.error_kind == "Killed"
    assert poison.last_good_pts_s == 2.5


def test_what_ended_an_earlier_run_is_not_held_against_its_chunks(attempts, die):
    die("Killed")
    die("Crashed")

    attempts.forget_kills()

    [left] = attempts.root.iterdir()
    assert b"Fatal Python error" in left.read_bytes()


def test_each_unit_and_stage_has_attempts_of_its_own(attempts):
    for number in range(MAX_KILLS):
        (attempts.root / f"v-0.decode.{number}").write_bytes(b"")

    assert poison_in(attempts, "v-0", "watch") is None
    assert poison_in(attempts, "v-01", "decode") is None
    assert poison_in(attempts, "v", "decode") is None
    assert poison_in(attempts, "v-0", "decode").error_kind == "Killed"


def test_signs_of_life_keep_a_slow_stage_alive(attempts):
    program = """
import pathlib, sys, time
from poseact.analysis.attempts import Attempts
from poseact.video.watchdog import alive

with Attempts(pathlib.Path(sys.argv[1])).start("v-0", "decode", 1.0):
    for _ in range(30):
        time.sleep(0.1)
        alive()
time.sleep(1.5)  # nobody watches any more
"""
    subprocess.run([sys.executable, "-c", program, attempts.root], check=True)

    assert not list(attempts.root.iterdir())


def test_a_hang_is_ended_in_time(die):
    started = time.perf_counter()
    die("Hung")

    assert time.perf_counter() - started < 60 * TIMEOUT_S  # not ten minutes; start-up is slow


def test_bystanders_do_not_change_what_is_told(attempts, die):
    for kind in ("Crashed", "Killed", "Crashed", "Killed", "Crashed"):
        die(kind)

    poison = poison_in(attempts)

    assert poison.error_kind == "Crashed"
    assert "3 times, last after 2.500 s" in poison.error


def test_a_folder_that_is_gone_is_an_output_error(attempts):
    os.rmdir(attempts.root)  # noqa: PTH106

    with (
        pytest.raises(Exception, match="cannot be written") as caught,
        attempts.start("v-0", "decode"),
    ):
        pass

    assert type(caught.value).__name__ == "OutputError"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Take a folder of temporary files of our own, as each machine has."""

    def take(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", None)
        return folder / f"poseact-notes-{os.getuid()}"

    return take


@pytest.fixture
def here(machine):
    return machine("here")


@pytest.fixture
def in_store(s3_folder):
    return Attempts(to_path(s3_folder))


@pytest.mark.parametrize("kind", ["Crashed", "Hung"])
def test_in_a_store_three_crashes_or_hangs_are_told_apart_from_kills(kind, in_store, here):
    for _ in range(MAX_FAULTS):
        assert poison_in(in_store, "v-1") is None
        die_in(in_store.root, kind)

    poison = poison_in(in_store)

    assert poison.error_kind == kind
    assert poison.last_good_pts_s == 2.5
    assert "3 times, last after 2.500 s" in poison.error
    assert not list(in_store.root.glob("*"))
    assert not list(here.iterdir())


def test_in_a_store_kills_are_counted_too(in_store, here):
    die_in(in_store.root, "Killed")
    for number in range(MAX_KILLS - 1):
        (in_store.root / f"v-0.decode.{number}").write_bytes(b"")

    poison = poison_in(in_store)

    assert poison.error_kind == "Killed"
    assert "10 times, last after 2.500 s" in poison.error
    assert not list(here.iterdir())


def test_a_machine_that_is_gone_leaves_a_kill(in_store, machine):
    machine("there")
    die_in(in_store.root, "Crashed")
    machine("here")

    assert poison_in(in_store, "v-1") is None

    [left] = in_store.root.glob("*")
    assert left.read_bytes() == b""


def test_a_crash_of_an_earlier_run_is_not_forgotten(in_store, here):
    die_in(in_store.root, "Killed")
    die_in(in_store.root, "Crashed")

    in_store.forget_kills()

    [left] = in_store.root.glob("*")
    assert b"Fatal Python error" in left.read_bytes()
    assert not list(here.iterdir())


def test_who_lives_keeps_the_note(in_store, here):
    with in_store.start("v-0", "decode") as living:
        living.reached(1.0)
        poison_in(in_store, "v-1")

        [note] = here.iterdir()
        assert note.read_bytes().startswith(b"1.0 ")
        [left] = in_store.root.glob("*")
        assert left.read_bytes() == b""

    assert not list(here.iterdir())


def test_a_run_that_is_over_is_not_brought_back(in_store, here):
    die_in(in_store.root, "Crashed")
    remove_tree(in_store.root)

    in_store.forget_kills()

    assert not list(in_store.root.glob("*"))
    assert not list(here.iterdir())


@pytest.mark.parametrize("trick", ["writable", "link"])
def test_notes_that_others_could_write_are_not_believed(trick, in_store, here, tmp_path):
    if trick == "link":
        (tmp_path / "theirs").mkdir()
        here.symlink_to(tmp_path / "theirs")
    else:
        here.mkdir()
        here.chmod(0o777)

    with pytest.raises(OutputError, match="others may write there, or made it"):
        poison_in(in_store)


def test_a_machine_without_room_for_notes_is_named(in_store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    with pytest.raises(
        OutputError, match=r"gone/poseact-notes-\d+: cannot be written: No such file"
    ):
        poison_in(in_store)
