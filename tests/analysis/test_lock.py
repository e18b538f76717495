import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest

from poseact.analysis.lock import LOCK_FILE, STALE_S, hold_lock
from poseact.errors import OutputError
from poseact.storage import to_path

pytestmark = pytest.mark.faults

HOLD = """
import pathlib, sys
from poseact.analysis.lock import hold_lock

with hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["folder", "store"])
def out(request, tmp_path):
    return tmp_path if request.param == "folder" else to_path(f"memory://{tmp_path.name}/out")


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def changed(out, **changes):
    path = out / LOCK_FILE
    fields = {**json.loads(path.read_text()), **changes}
    path.write_bytes(json.dumps(fields).encode())
    return fields


def test_a_lock_is_given_back(out):
    for _ in range(2):
        with hold_lock(out) as lock:
            lock.require()
            assert (out / LOCK_FILE).exists()
        assert not (out / LOCK_FILE).exists()


def test_a_second_run_is_told_who_holds_the_folder_and_since_when(out):
    with (
        hold_lock(out),
        pytest.raises(OutputError, match=r"another run .*process \d+ .*last sign of life \d+ s"),
        hold_lock(out),
    ):
        pass


def test_another_process_is_refused_until_it_is_dead(holder, tmp_path):
    with pytest.raises(OutputError, match=f"process {holder.pid} on"), hold_lock(tmp_path):
        pass

    holder.kill()
    holder.wait()

    with hold_lock(tmp_path) as lock:  # at once
        lock.require()


@pytest.fixture
def look_s(monkeypatch):
    """Time for which old locks are looked at, cut short."""
    monkeypatch.setattr("poseact.analysis.lock._LOOK_S", 0.5)
    return 0.5


def test_a_lock_that_is_renewed_by_a_wrong_clock_is_held(out, look_s):
    long_ago = datetime.now(UTC) - timedelta(hours=1)

    def renew():
        changed(out, renewed=(long_ago + timedelta(seconds=10)).isoformat())

    with hold_lock(out):
        changed(out, host="elsewhere", renewed=long_ago.isoformat())
        timer = threading.Timer(look_s / 2, renew)
        timer.start()
        with pytest.raises(OutputError, match="elsewhere"), hold_lock(out):
            pass
        timer.join()


@pytest.mark.usefixtures("look_s")
def test_the_lock_of_another_machine_falls_with_age(out):
    with hold_lock(out) as lock:
        fields = changed(out, host="elsewhere", holder_id="theirs")
        with pytest.raises(OutputError, match="elsewhere"), hold_lock(out):
            pass
        old = datetime.now(UTC) - timedelta(seconds=STALE_S + 1)
        changed(out, renewed=old.isoformat())
        with hold_lock(out) as mine:
            mine.require()
            with pytest.raises(OutputError, match="now held by"):
                lock.require()
    assert fields["holder_id"] == "theirs"


def test_a_lock_that_was_lost_is_neither_renewed_nor_removed(out):
    with hold_lock(out) as lock:
        before = changed(out, holder_id="theirs")
        lock.renew()
    assert json.loads((out / LOCK_FILE).read_text()) == before


def test_a_renewal_shows_life(out):
    with hold_lock(out) as lock:
        changed(out, renewed=(datetime.now(UTC) - timedelta(seconds=30)).isoformat())
        before = json.loads((out / LOCK_FILE).read_text())["renewed"]
        lock.renew()
        assert json.loads((out / LOCK_FILE).read_text())["renewed"] > before


def test_a_folder_removed_under_the_run_is_noticed(out):
    with hold_lock(out) as lock:
        (out / LOCK_FILE).unlink()
        with pytest.raises(OutputError, match="gone"):
            lock.require()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder_id": 1}'])
def test_a_damaged_lock_is_nobodys(out, text):
    out.mkdir(parents=True, exist_ok=True)
    (out / LOCK_FILE).write_bytes(text.encode())

    with hold_lock(out) as lock:
        lock.require()


def _try(folder, barrier, results):
    barrier.wait()
    try:
        with hold_lock(folder):
            results.put("held")
            barrier.wait()
    except OutputError:
        results.put("refused")
        barrier.wait()


def test_of_many_that_come_at_once_one_gets_it(tmp_path):
    context = get_context("fork")
    (tmp_path / LOCK_FILE).write_text("damaged")
    barrier, results = context.Barrier(8), context.Queue()
    tries = [context.Process(target=_try, args=(tmp_path, barrier, results)) for _ in range(8)]
    for process in tries:
        process.start()
    outcomes = sorted(results.get(timeout=60) for _ in tries)
    for process in tries:
        process.join()

    assert outcomes == ["held"] + 7 * ["refused"]
