"""Analyses in forked processes, without Ray, that meet a fault at one of the changes they make.

    python forks.py     one request per line on standard input, one answer per line on the output

The models are loaded once, so that an analysis of a few frames takes a tenth of a second. All but
Ray is real: the lock, the plan, the chunks in turn, the tables, and what is removed at the end.

A request is JSON with ``settings`` of AnalyzeConfig and, if there is to be a fault, ``fault`` and
``at``, the number of the change (from 0) before which it comes:

    die         the process is killed
    remove      the folder of the results is removed
    read-only   this change and all later ones fail, as on a file system remounted for reading only
    full        this change alone fails for lack of space
    quota       this change alone fails because the user has no more of it
    run         the program ``argv`` is run, and waited for

``limit_bytes`` bounds the size of every file written. The answer tells the ``code``, ``error`` and
``message`` that the user would see, the signal that ended the process, and every change.
"""

import contextlib
import errno
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch

from poseact.analysis import job
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.decoding import Decode, chunk_row
from poseact.analysis.finalize import finalize
from poseact.analysis.ledger import Receipt
from poseact.analysis.plan import find_inputs, record_plan
from poseact.analysis.stages import Watch
from poseact.errors import PoseactError
from poseact.models.action import load_action
from poseact.models.bundle import read_bundle
from poseact.models.presets import pose_net
from poseact.models.runtime import PoseEstimator
from poseact.timeline.segments import SegmentRules

REFUSALS = {"full": errno.ENOSPC, "quota": errno.EDQUOT}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@functools.cache
def load_pose(bundle, device):
    # by torch in one thread, which survives a fork; OpenVINO's pool of threads does not
    contents = read_bundle(bundle, "pose")
    estimator = PoseEstimator.from_net(pose_net(contents))
    estimator.model_id = contents.model_id
    return estimator


def plan_here(uris, run, config, done_ids):
    return record_plan(
        uris,
        run,
        chunk_bytes=config.chunk_bytes,
        done_ids=done_ids,
        read_timeout_s=config.frame_timeout_s,
    )


def watch_here(videos, run, config, pools, load_models):
    decode = Decode(work=run.work, frame_timeout_s=config.frame_timeout_s)
    watch = Watch(load_models=load_models, work=run.work, config=config)
    for video in videos:
        for place in video.pending:
            row = chunk_row(video.video_id, place)
            decoded = decode({name: np.array([value]) for name, value in row.items()})
            yield Receipt.from_json(str(watch(decoded)["receipt"][0]))


class FinalizerHere:
    def __init__(self, run, action, _max_at_once):
        self._run, self._action, self._outcomes = run, action, []

    def add(self, video_id):
        self._outcomes.append(finalize(video_id, self._run, self._action))

    def finish(self):
        return self._outcomes


def without_ray():
    job.ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 1})
    job.ray_session = contextlib.nullcontext
    job.require_shared = lambda _run: None
    job.list_videos = find_inputs
    job.plan_run = plan_here
    job.watch_chunks = watch_here
    job.Finalizer = FinalizerHere
    job.load_pose = load_pose
    job.load_action = functools.cache(load_action)


class Changes:
    """Sees every change of the file system below a folder before it is made."""

    def __init__(self, out, *, fault=None, at=None, argv=()):
        self.seen = []
        self._out, self._fault, self._at, self._argv = out, fault, at, argv
        self._is_busy = False

    def __call__(self, event, args):
        if self._is_busy:
            return
        change = self._change(event, args)
        if change is None:
            return
        number = len(self.seen)
        self.seen.append(change)
        if self._fault == "read-only" and number >= self._at:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), change)
        if number == self._at:
            self._is_busy = True
            self._strike(change)
            self._is_busy = False

    def _strike(self, change):
        match self._fault:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "remove":
                shutil.rmtree(self._out, ignore_errors=True)
            case "full" | "quota":
                self._is_busy = False
                number = REFUSALS[self._fault]
                raise OSError(number, os.strerror(number), change)
            case "run":
                subprocess.run(self._argv, check=True)

    def _change(self, event, args):
        """Return what is changed, None if it is nothing of ours."""
        match event, args:
            case "open", (str() | bytes() as path, _, int(flags)) if flags & WRITING:
                place, folder = path, None
            case "os.rename" | "os.link", (_, path, _, folder):
                place = path
            case "os.mkdir", (path, _, folder):
                place = path
            case "os.remove" | "os.rmdir", (path, folder):
                place = path
            case "os.truncate", (path, _):
                place, folder = path, None
            case _:
                return None
        place = os.fsdecode(place)
        if folder not in {None, -1}:  # how shutil.rmtree removes
            place = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), place)  # noqa: PTH118, PTH115 - quick
        if place != self._out and not place.startswith(f"{self._out}/"):
            return None
        return f"{event.removeprefix('os.')} {place[len(self._out) + 1 :]}"


def analysis(request):
    settings = request["settings"]
    rules = SegmentRules(**settings.pop("rules"))
    bundles = {name: Path(settings.pop(name)) for name in ("pose_model", "action_model")}
    config = AnalyzeConfig(**{**settings, **bundles, "rules": rules})
    fault = {name: request[name] for name in ("fault", "at", "argv") if name in request}
    changes = Changes(config.out, **fault)
    if "limit_bytes" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit_bytes"],) * 2)
    sys.addaudithook(changes)
    try:
        answer = {"code": job.analyze(config), "error": None, "message": ""}
    except PoseactError as error:
        answer = {
            "code": error.exit_code,
            "error": type(error).__name__,
            "message": str(error),
        }
    except BaseException:  # noqa: BLE001 - whatever a user would see as a traceback
        answer = {"code": 1, "error": "traceback", "message": traceback.format_exc()}
    return {**answer, "changes": changes.seen}


def forked(request):
    """Analyze in a process of its own; what it was told is all that outlives it."""
    settings = request["settings"]
    load_pose(Path(settings["pose_model"]), "cpu")
    job.load_action(Path(settings["action_model"]))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        with open(writer, "w") as told:  # noqa: PTH123 - a descriptor
            json.dump(analysis(request), told)
        os._exit(0)
    os.close(writer)
    with open(reader) as told:  # noqa: PTH123 - a descriptor
        text = told.read()
    _, status = os.waitpid(child, 0)
    killed = {"code": None, "error": None, "message": "", "changes": []}
    answer = json.loads(text) if text else killed
    return {**answer, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    without_ray()
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)  # noqa: T201 - the answer
