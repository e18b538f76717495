"""Memory and time do not grow with the length or the number of the videos, or within bounds.

By default little is tried, on small videos; ``POSEACT_FAULTS=all`` takes the sizes of the
documentation, and most of an hour. Each test prints its figures (``-s``).
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from poseact.analysis.resources import PROCESS_BYTES, peak_memory_bytes, pools_for, store_bytes
from poseact.errors import EXIT_INCOMPLETE
from poseact.video.chunks import MAX_RUN_BYTES
from poseact.video.encode import write_video

pytestmark = [pytest.mark.faults, pytest.mark.ray, pytest.mark.timeout(3600)]

HERE = Path(__file__).parent
EVERY = os.environ.get("POSEACT_FAULTS") == "all"
MIB = 1024**2
SAMPLE_S = 0.1
WORKING = ("driver", "Watch", "Decode")

at_length = pytest.mark.skipif(not EVERY, reason="takes minutes; POSEACT_FAULTS=all measures it")


class Sampler:
    """Takes the memory of a process and all below it, ten times a second.

    That which a process has for itself (USS) is counted; what Ray's store holds is not among it.
    Samples may miss the moment of loading models, so the kernel's own peak (VmHWM, libraries that
    others share included) stands beside.
    """

    def __init__(self, pid):
        self._root = psutil.Process(pid)
        self._kind_of, self._bytes_of, self._most_bytes_of = {}, defaultdict(int), {}
        self.store_bytes = self.total_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample_on, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()

    def peaks(self):
        """Return the most bytes of one process of each kind, of all together, and of the store."""
        peaks = defaultdict(int)
        for process, kind in self._kind_of.items():
            peaks[kind] = max(peaks[kind], self._bytes_of[process])
            if kind in WORKING:
                ever = f"{kind} (VmHWM)"
                peaks[ever] = max(peaks[ever], self._most_bytes_of[process])
        return {**peaks, "all": self.total_bytes, "store": self.store_bytes}

    def _sample_on(self):
        while not self._stopped.wait(SAMPLE_S):
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self.total_bytes = max(self.total_bytes, sum(map(self._sample, processes)))

    def _sample(self, process):
        try:
            own_bytes = process.memory_full_info().uss
            kind = self._kind(process)
            if kind == "raylet":
                self.store_bytes = max(self.store_bytes, size_of_store(process.pid))
        except (psutil.Error, OSError):  # it ended meanwhile
            return 0
        self._kind_of[process] = kind
        self._bytes_of[process] = max(self._bytes_of[process], own_bytes)
        known_bytes = self._most_bytes_of.get(process, 0)
        self._most_bytes_of[process] = max(known_bytes, most_bytes(process.pid))
        return own_bytes

    def _kind(self, process):
        if process == self._root:
            return "driver"
        title = " ".join(process.cmdline())
        for mark, kind in (
            ("(Watch", "Watch"),
            ("(Decode", "Decode"),
            ("gcs_server", "gcs"),
            ("raylet/raylet", "raylet"),
            ("ray::", "tasks"),
        ):
            if mark in title:
                # between two tasks a worker is called idle
                return self._kind_of.get(process, kind) if kind == "tasks" else kind
        return self._kind_of.get(process, "others")  # at its end it has no title


def most_bytes(pid):
    """Return the most memory that a process has had so far."""
    with contextlib.suppress(OSError):
        _, _, peak_kib = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")
        return 1024 * int(peak_kib.split()[0]) if peak_kib else 0  # one that ended has none
    return 0


def size_of_store(raylet):
    """Return what Ray's store has taken of memory so far; it keeps what it once took."""
    for descriptor in Path(f"/proc/{raylet}/fd").iterdir():
        if "/plasma" in str(descriptor.readlink()):
            return descriptor.stat().st_blocks * 512
    return 0


@pytest.fixture
def folder():
    """A folder in memory, if there is one: the disk is not what is measured."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder in it
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


@pytest.fixture
def measure(models, folder):
    """Analyze by the command line, in processes of their own; return the peaks of their memory."""
    numbers = itertools.count()

    def run(*videos, chunk_mib=1, environment=None):
        out = folder / f"out{next(numbers)}"
        flags = {
            "--out": out,
            "--detector": "none",
            "--pose-model": models.pose,
            "--action-model": models.action,
            "--min-pose-confidence": 0,
            "--chunk-mib": chunk_mib,
        }
        words = [str(word) for flag in flags.items() for word in flag]
        command = [sys.executable, "-m", "poseact.cli", "analyze", "--videos", *map(str, videos)]
        with (
            subprocess.Popen(
                [*command, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, **(environment or {})},
            ) as process,
            Sampler(process.pid) as sampler,
        ):
            text = process.stdout.read()
        assert process.returncode == 0, text
        assert ", 0 partial, 0 failed" in text
        shutil.rmtree(out)
        return sampler.peaks()

    return run


@pytest.fixture
def table(capsys):
    """Print peaks side by side, in MiB."""

    def show(title, peaks_of):
        kinds = list(dict.fromkeys(kind for peaks in peaks_of.values() for kind in peaks))
        lines = ["", title, f"| MiB | {' | '.join(peaks_of)} |", "|---" * (len(peaks_of) + 1) + "|"]
        for kind in kinds:
            cells = [f"{peaks.get(kind, 0) / MIB:.0f}" for peaks in peaks_of.values()]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
        with capsys.disabled():
            print("\n".join(lines))  # noqa: T201 - figures for the documentation

    return show


def noise(num_frames, width, height):
    random = np.random.default_rng(0)
    still_HWC = random.integers(60, 200, (height, width, 3), np.uint8)
    for index in range(num_frames):
        yield np.roll(still_HWC, 4 * index, axis=1)


def repeat(piece, path, times):
    """Write the packets of a short video again and again, one after the other."""
    with av.open(path, "w") as target:
        stream = None
        for turn in range(times):
            with av.open(piece) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    shift = turn * video.duration
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    target.mux(packet)
    return path


ALIKE_MIB = 96
"""A tenth of what a watcher takes: hardly more than runs that are alike differ by."""


def assert_alike(few, many, *, except_for=()):
    for kind in few.keys() - {*WORKING, *except_for}:  # of these, VmHWM is compared
        grown_mib = (many[kind] - few[kind]) / MIB
        assert grown_mib <= ALIKE_MIB, f"{kind} takes {grown_mib:.0f} MiB more"


TASK_MIB_PER_HOUR = 150
"""Finalizing holds the people of a whole video: here one person in each of ten frames a second."""


@at_length
def test_memory_does_not_grow_with_the_length_of_a_video(measure, folder, table):
    minutes = (10, 60)
    piece = folder / "piece.mp4"
    write_video(piece, noise(100, 96, 64), fps=10, gop_size=10, max_b_frames=0)
    peaks = [measure(repeat(piece, folder / f"{m}.mp4", 6 * m)) for m in minutes]
    table("length of one video", dict(zip([f"{m} min" for m in minutes], peaks, strict=True)))

    assert_alike(*peaks, except_for={"tasks", "all"})
    hours = (minutes[1] - minutes[0]) / 60
    tasks_mib = (peaks[1].get("tasks", 0) - peaks[0].get("tasks", 0)) / MIB
    assert tasks_mib <= 32 + TASK_MIB_PER_HOUR * hours


@at_length
def test_memory_does_not_grow_with_the_number_of_videos(measure, folder, table):
    numbers = (20, 500)
    piece = folder / "piece.mp4"
    write_video(piece, noise(20, 96, 64), fps=10, gop_size=10)
    peaks = []
    for number in numbers:
        yard = folder / f"yard{number}"
        yard.mkdir()
        for index in range(number):
            (yard / f"{index}.mp4").hardlink_to(piece)
        peaks.append(measure(yard))
    table("number of videos", dict(zip([f"{n} files" for n in numbers], peaks, strict=True)))

    assert_alike(*peaks, except_for={"all"})


@at_length
def test_a_video_with_one_keyframe_takes_no_more_than_its_runs(measure, folder, table):
    num_frames = 6000
    path = folder / "endless.mp4"
    write_video(path, noise(num_frames, 320, 240), fps=25, gop_size=100_000, max_b_frames=0)
    peaks = measure(path)
    table(f"one keyframe, {num_frames} frames of 320x240", {"peak": peaks})

    pools = pools_for(psutil.cpu_count(), 0, 100)
    assert max(peaks["Decode"], peaks["Watch"]) <= PROCESS_BYTES + 3 * MAX_RUN_BYTES
    assert peaks["all"] + peaks["store"] <= peak_memory_bytes(pools, MAX_RUN_BYTES)


@at_length
def test_frames_of_8k_take_a_few_frames_of_memory(measure, folder, table):
    width, height = 7680, 4320
    path = folder / "8k.mp4"
    write_video(path, noise(6, width, height), fps=5, gop_size=1)
    peaks = measure(path, chunk_mib=128)
    table("frames of 8K", {"peak": peaks})

    frame_bytes = 3 * width * height
    pools = pools_for(psutil.cpu_count(), 0, 100)
    assert (
        max(peaks["Decode"], peaks["Watch"], peaks.get("tasks", 0))
        <= PROCESS_BYTES + 4 * frame_bytes
    )
    assert peaks["all"] + peaks["store"] <= peak_memory_bytes(pools, 128 * MIB)


SLOW = """
import os, time

replace = os.replace

def slow(source, target, **kwargs):
    if str(target).endswith(".parquet"):
        time.sleep({seconds})
    return replace(source, target, **kwargs)

os.replace = slow
"""


def test_slow_storage_does_not_fill_the_store(measure, folder, table):
    (folder / "slow").mkdir()
    (folder / "slow" / "sitecustomize.py").write_text(SLOW.format(seconds=1.0))
    environment = {"PYTHONPATH": str(folder / "slow")}
    piece = folder / "piece.mp4"
    write_video(piece, noise(50, 320, 240), fps=50, gop_size=50, max_b_frames=0)
    seconds = (60, 240) if EVERY else (24,)  # a chunk of 11 MiB for each
    peaks = [
        measure(repeat(piece, folder / f"{s}.mp4", s), environment=environment) for s in seconds
    ]
    table(
        "chunks of 11 MiB, a second to write each", dict(zip(map(str, seconds), peaks, strict=True))
    )

    pools = pools_for(psutil.cpu_count(), 0, 100)
    assert peaks[-1]["store"] <= store_bytes(pools, 12 * MIB) < 24 * 11 * MIB
    assert_alike(peaks[0], peaks[-1], except_for={"all"})


SECONDS_PER_FILE = 0.05
"""20,000 files in a quarter of an hour."""

DRIVER_KIB_PER_FILE = 16
"""A row of ``videos`` takes 5 KiB, for a moment twice: its columns, and their copy in one piece."""


def test_many_files_are_planned_in_time_and_memory_that_grow_with_their_number(
    models, folder, capsys
):
    number = 20_000 if EVERY else 400
    yard = folder / "yard"
    yard.mkdir()
    for index in range(8):
        write_video(yard / f"{index}.mp4", noise(10 + index, 64, 48), fps=10)
    for index in range(8, number):
        (yard / f"{index}.mp4").hardlink_to(yard / f"{index % 8}.mp4")
    settings = {
        "videos": [str(yard)],
        "out": str(folder / "out"),
        "detector": "none",
        "pose_model": str(models.pose),
        "action_model": str(models.action),
    }
    told = {}
    for phase in ("first", "half", "all"):
        request = json.dumps({"phase": phase, "settings": settings})
        command = [sys.executable, HERE / "planning.py", request]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr
        told[phase] = json.loads(process.stdout.splitlines()[-1])
        if phase == "all":
            assert "nothing to do" in process.stdout
    with capsys.disabled():
        print(f"\nplanning {number} files")  # noqa: T201 - figures for the documentation
        for phase, figures in told.items():
            print(f"| {phase} | {json.dumps(figures)} |")  # noqa: T201 - the same

    assert (told["first"]["planned"], told["first"]["finished"]) == (number, 0)
    assert (told["half"]["planned"], told["half"]["finished"]) == (number // 2, number // 2)
    assert told["all"]["code"] == EXIT_INCOMPLETE, "no frame of any video"
    for figures in told.values():
        spent_s = sum(value for name, value in figures.items() if name.endswith("_s"))
        assert spent_s <= 30 + SECONDS_PER_FILE * number
        assert figures["driver_kib"] <= 32 * 1024 + DRIVER_KIB_PER_FILE * number
