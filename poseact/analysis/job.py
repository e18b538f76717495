"""``poseact analyze``: from recordings to tables."""

import dataclasses
import functools
import os
import sys
import time
from collections.abc import Container, Mapping, Sequence
from typing import Any

import cv2
import ray
import torch

from poseact.analysis.actions import ActionModel
from poseact.analysis.cluster import (
    Finalizer,
    list_videos,
    outline_run,
    plan_run,
    require_shared,
    watch_chunks,
)
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.lock import Lock, hold_lock
from poseact.analysis.outcome import VideoOutcome, is_final, unreadable_row
from poseact.analysis.plan import Inputs, RecordedPlan
from poseact.analysis.report import Progress, Spent, dry_run_text, summary, video_lines
from poseact.analysis.resources import (
    Costs,
    duration_s,
    measure_costs,
    peak_memory_bytes,
    pools_for,
)
from poseact.analysis.run import Run, open_run, require_same_settings
from poseact.errors import EXIT_INCOMPLETE, InputError, OutputError
from poseact.models.action import load_action
from poseact.models.detection import Detector, detector_for
from poseact.models.looks import CropModel
from poseact.models.runtime import Device, load_pose
from poseact.ray_session import ray_session
from poseact.storage import to_path
from poseact.timeline.tables import read_videos, remove_video_row, write_video_row
from poseact.video.find import shown


def analyze(config: AnalyzeConfig) -> int:
    """Find actions in recorded video and write their timelines.

    What an earlier run with the same settings finished is kept, to the chunk; whatever ended it.

    Args:
        config: Settings.

    Returns:
        Exit code: 0, or ``EXIT_INCOMPLETE`` if a video failed, is partial or was not found.

    Raises:
        BundleError: If a model cannot be used.
        ConfigError: If ``out`` holds results of other settings, or not every node reaches it.
        InputError: If there is nothing that can be read.
        OutputError: If results cannot be written, another run writes there, or the cluster failed.
    """
    started = time.perf_counter()
    config = config.absolute()
    detector = _detector(config, "cpu")
    if detector is not None and config.min_detection_score is None:
        config = dataclasses.replace(config, min_detection_score=detector.threshold)
    pose = load_pose(config.pose_model, "cpu")
    action = load_action(config.action_model)
    costs = measure_costs(detector, pose) if config.dry_run else None
    with ray_session():
        inputs = list_videos(config.videos, config.limit)
        for message in inputs.missing:
            print(f"warning: {message}", file=sys.stderr)
        if costs is not None:
            print(_dry_run(config, inputs, costs))
            return 0
        with hold_lock(to_path(config.out)) as lock:
            run = open_run(
                config,
                detector_id=None if detector is None else detector.model_id,
                pose_id=pose.model_id,
                action_id=action.model_id,
                actions=action.classes,
            )
            require_shared(run)
            try:
                rows = _analyze(inputs, config, run, action, lock=lock, started=started)
            except OSError as error:  # of listing and removing
                raise OutputError(
                    f"{run.out}: cannot be read or written ({error}). Give the same command again."
                ) from error
    is_complete = not inputs.missing and all(row["status"] == "ok" for row in rows)
    return 0 if is_complete else EXIT_INCOMPLETE


def _dry_run(config: AnalyzeConfig, inputs: Inputs, costs: Costs) -> str:
    outline = outline_run(inputs.uris, chunk_bytes=config.chunk_bytes)
    num_cpus = os.cpu_count() or 1
    pools = pools_for(num_cpus, 0, outline.num_chunks)
    return dry_run_text(
        outline,
        memory_bytes=peak_memory_bytes(pools, config.chunk_bytes),
        estimated_s=duration_s(outline.infos, num_cpus, costs, config.detect_every_s),
    )


def _analyze(  # noqa: PLR0913 - what a run consists of
    inputs: Inputs,
    config: AnalyzeConfig,
    run: Run,
    action: ActionModel,
    *,
    lock: Lock,
    started: float,
) -> list[Mapping[str, Any]]:
    """Do what is not done yet; return the ``videos`` rows of all that was asked for."""
    known = _rows_by_id(run)
    finished = {id_: row for id_, row in known.items() if is_final(row)}
    asked = frozenset(inputs.uris)
    run.work.attempts.forget_kills()
    if not config.overwrite:
        require_same_settings(
            run, {row["run_id"] for row in finished.values() if row["uri"] in asked}
        )
    finished = {id_: row for id_, row in finished.items() if row["run_id"] in run.own_ids}
    plan = plan_run(inputs.uris, run, config, frozenset(finished))
    lock.require()
    _forget_outdated(run, plan, asked, known)
    rows: list[Mapping[str, Any]] = [finished[video_id] for video_id in plan.done_ids]
    for video in plan.unreadable:
        row = unreadable_row(video, run.run_id)
        if known.get(video.video_id, row)["codec"] is None:  # else there are tables, of better days
            write_video_row(run.out, row)
        rows.append(row)

    if plan.videos:
        begun = time.perf_counter()
        spent, outcomes = _watch_and_finalize(plan, config, run, action)
        elapsed_s = time.perf_counter() - begun
        rows += [outcome.row for outcome in outcomes]
        startup_s = begun - started
        print(summary(spent, outcomes, rows, run, startup_s=startup_s, elapsed_s=elapsed_s))
    elif plan.done_ids:
        print("\n".join([f"nothing to do: {run.out} holds the results.", *video_lines(rows)]))
    lock.require()
    run.remove_work()
    if not plan.videos and not plan.done_ids:
        raise InputError(_nothing_readable(plan))
    return rows


def _rows_by_id(run: Run) -> dict[str, dict[str, Any]]:
    """Return the ``videos`` rows that are there, by whatever run, null as None."""
    try:
        videos = read_videos(run.out)
    except InputError:
        run.require_current()  # the folder may have been removed
        raise
    rows: Any = videos.astype(object).where(videos.notna(), None).to_dict("records")
    return {row["video_id"]: row for row in rows}


def _forget_outdated(
    run: Run,
    plan: RecordedPlan,
    asked: Container[str],
    known: Mapping[str, Mapping[str, Any]],
) -> None:
    """Forget what was left, of files that have changed since or are gone, by who was killed.

    A file that has changed is another video, by its id.
    """
    planned = {video.video_id for video in plan.videos}
    for video_id in run.work.unfinished_ids() - planned:
        left = run.work.load_plan(video_id)
        uri = None if left is None else left.info.uri
        if uri is not None and uri not in asked:
            if not _is_gone(uri):
                continue  # a command for other videos is no reason to forget it
            print(f"warning: {shown(uri)}: is gone before it was finished", file=sys.stderr)
        run.work.forget(video_id)
    current = {*planned, *plan.done_ids, *(video.video_id for video in plan.unreadable)}
    for video_id, row in known.items():
        if row["codec"] is None and row["uri"] in asked and video_id not in current:
            remove_video_row(run.out, video_id)


def _is_gone(uri: str) -> bool:
    try:
        return not to_path(uri).exists()
    except OSError:  # nobody can tell
        return False


def _nothing_readable(plan: RecordedPlan) -> str:
    first, *others = plan.unreadable
    return first.error + (f" {len(others)} more cannot be read either." if others else "")


def _watch_and_finalize(
    plan: RecordedPlan, config: AnalyzeConfig, run: Run, action: ActionModel
) -> tuple[Spent, Sequence[VideoOutcome]]:
    """Analyse the chunks that have no receipt yet, and finalize each video after its last one."""
    num_chunks = sum(len(video.pending) for video in plan.videos)
    resources: dict[str, float] = ray.cluster_resources()
    pools = pools_for(resources.get("CPU", 1), resources.get("GPU", 0), num_chunks)
    finalizer = Finalizer(run, action, pools.num_finalizers)
    left = {video.video_id: len(video.pending) for video in plan.videos}
    for video_id, num_chunks in left.items():
        if not num_chunks:
            finalizer.add(video_id)
    load_models = functools.partial(_load_models, config, pools.gpus_per_watcher)
    progress = Progress.of(plan.videos)
    spent = Spent()
    try:
        for receipt in watch_chunks(plan.videos, run, config, pools, load_models):
            spent.add(receipt)
            progress.advance(receipt.num_planned)
            left[receipt.video_id] -= 1
            if not left[receipt.video_id]:
                finalizer.add(receipt.video_id)
        return spent, finalizer.finish()
    finally:
        progress.close()


def _load_models(config: AnalyzeConfig, num_gpus: int) -> tuple[Detector | None, CropModel]:
    # one thread per worker: oversubscribed torch takes up to a hundred times as long
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    device: Device = "cuda" if num_gpus else "cpu"
    return _detector(config, device), load_pose(config.pose_model, device)


def _detector(config: AnalyzeConfig, device: Device) -> Detector | None:
    return detector_for(config.detector, weights=config.detector_weights, device=device)
