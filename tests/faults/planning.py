"""Plans many files on a local Ray, and tells how long it took and what memory the driver needed.

    python planning.py REQUEST

A request is JSON with ``phase`` and ``settings`` of AnalyzeConfig:

    first       list and plan; then give half of the videos the rows of finished ones
    half        go on: read these rows, and plan; then give the others theirs
    all         analyze, which finds nothing to do
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

from poseact.analysis.cluster import list_videos, plan_run
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.job import _rows_by_id, analyze
from poseact.analysis.outcome import is_final, video_row
from poseact.analysis.run import open_run
from poseact.models.action import load_action
from poseact.models.runtime import load_pose
from poseact.ray_session import ray_session
from poseact.timeline.tables import write_video_row


def forget_peak():
    """Let the peak of this process's memory be what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_kib():
    _, _, peak = Path("/proc/self/status").read_text().partition("VmHWM:")
    return int(peak.split()[0])


def plan(config, share_to_finish):
    pose, action = load_pose(config.pose_model, "cpu"), load_action(config.action_model)
    run = open_run(
        config,
        detector_id=None,
        pose_id=pose.model_id,
        action_id=action.model_id,
        actions=action.classes,
    )
    forget_peak()  # of loading models
    before_kib = peak_kib()
    started = time.perf_counter()
    inputs = list_videos(config.videos, None)
    listed = time.perf_counter()
    finished = {id_: row for id_, row in _rows_by_id(run).items() if is_final(row)}
    read = time.perf_counter()
    planned = plan_run(inputs.uris, run, config, frozenset(finished))
    told = {
        "files": len(inputs.uris),
        "finished": len(planned.done_ids),
        "planned": len(planned.videos),
        "list_s": listed - started,
        "read_s": read - listed,
        "plan_s": time.perf_counter() - read,
        "driver_kib": peak_kib() - before_kib,
    }
    for video in planned.videos[: round(share_to_finish * len(planned.videos))]:
        write_video_row(run.out, video_row(run.work.load_plan(video.video_id), [], run.run_id))
        run.work.forget(video.video_id)
    return told


def find_nothing_to_do(config):
    few = dataclasses.replace(config, dry_run=True, limit=1)
    analyze(few)  # imports and sets up what any analysis does
    forget_peak()
    analyze(few)
    few_kib = peak_kib()
    forget_peak()
    started = time.perf_counter()
    code = analyze(config)
    spent_s = time.perf_counter() - started
    return {"code": code, "all_s": spent_s, "driver_kib": peak_kib() - few_kib}


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    settings = request["settings"]
    bundles = {name: Path(settings[name]) for name in ("pose_model", "action_model")}
    config = AnalyzeConfig(**{**settings, **bundles})
    with ray_session():
        match request["phase"]:
            case "first":
                told = plan(config, 0.5)
            case "half":
                told = plan(config, 1.0)
            case _:
                told = find_nothing_to_do(config)
    print(json.dumps(told))  # noqa: T201 - the answer
