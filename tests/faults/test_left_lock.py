"""The lock of a driver that was killed, as its starter leaves it."""

import os
import subprocess
import sys

import pytest

from poseact.analysis.lock import hold_lock
from poseact.errors import OutputError

pytestmark = pytest.mark.faults

HOLD = """
import pathlib, sys, time
from poseact.analysis.lock import hold_lock

with hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_owner_that_nobody_waited_for_is_dead(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=-1, text=True) as owner:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=f"process {owner.pid} on"), hold_lock(tmp_path):
            pass

        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # it stays as a zombie

        with hold_lock(tmp_path) as lock:
            lock.require()
