"""The Ray Data job: from recordings to tables. The only module of the analysis that knows Ray."""

import dataclasses
import functools
import logging
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
from ray.exceptions import RayError

from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.finalize import finalize
from poseact.analysis.ledger import Receipt, Work
from poseact.analysis.outcome import VideoOutcome, unreadable_row
from poseact.analysis.plan import Inputs, Plan, find_inputs, make_plan
from poseact.analysis.report import Progress, dry_run_text, summary, video_lines
from poseact.analysis.resources import (
    CPUS_PER_WORKER,
    Costs,
    Pools,
    duration_s,
    measure_costs,
    peak_memory_bytes,
    pools_for,
)
from poseact.analysis.run import Run, open_run
from poseact.analysis.stages import Watch, chunk_row, decode
from poseact.errors import EXIT_INCOMPLETE, ConfigError, InputError, PoseactError
from poseact.models.action import load_action
from poseact.models.detection import Detector, detector_for
from poseact.models.looks import CropModel
from poseact.models.runtime import Device, load_pose
from poseact.ray_session import ray_session
from poseact.timeline.tables import read_videos, write_video_row
from poseact.video.chunks import Chunk

MIB = 1024**2

DECODES_PER_WORKER = 100
"""Chunks after which a decoding process is replaced, lest leaks of codecs add up."""


def analyze(config: AnalyzeConfig) -> int:
    """Find actions in recorded video and write their timelines.

    Args:
        config: Settings.

    Returns:
        Exit code: 0, or ``EXIT_INCOMPLETE`` if a video failed, is partial or was not found.

    Raises:
        BundleError: If a model cannot be used.
        ConfigError: If ``out`` holds results of other settings, or not every node reaches it.
        InputError: If there is nothing that can be read.
        OutputError: If results cannot be written.
    """
    started = time.perf_counter()
    config = config.absolute()
    detector = _detector(config, "cpu")
    if detector is not None and config.min_detection_score is None:
        config = dataclasses.replace(config, min_detection_score=detector.threshold)
    pose = load_pose(config.pose_model, "cpu")
    action = load_action(config.action_model)
    inputs = find_inputs(config.videos, config.limit)
    for message in inputs.missing:
        print(f"warning: {message}", file=sys.stderr)
    if config.dry_run:
        print(_dry_run(config, inputs, measure_costs(detector, pose)))
        return 0
    run = open_run(
        config,
        detector_id=None if detector is None else detector.model_id,
        pose_id=pose.model_id,
        action_id=action.model_id,
        actions=action.classes,
    )
    finished = _finished_rows(run.out)
    plan = make_plan(
        inputs.uris,
        chunk_bytes=config.chunk_mib * MIB,
        done_ids=finished,
        recorded=run.work.load_plan,
    )
    earlier = [finished[video_id] for video_id in plan.done_ids]
    rows = [*earlier, *_record(plan, run)]
    if plan.videos:
        rows = _analyze(plan, rows, config, run, started)
    elif earlier:
        print("\n".join([f"nothing to do: {run.out} holds the results.", *video_lines(rows)]))
    run.work.remove_if_done()
    if not plan.videos and not earlier:
        raise InputError(_nothing_readable(plan))
    is_complete = not inputs.missing and all(row["status"] == "ok" for row in rows)
    return 0 if is_complete else EXIT_INCOMPLETE


def _dry_run(config: AnalyzeConfig, inputs: Inputs, costs: Costs) -> str:
    chunk_bytes = config.chunk_mib * MIB
    plan = make_plan(inputs.uris, chunk_bytes=chunk_bytes)
    num_cpus = os.cpu_count() or 1
    num_chunks = sum(len(video.chunks) for video in plan.videos)
    return dry_run_text(
        plan,
        memory_bytes=peak_memory_bytes(pools_for(num_cpus, 0, num_chunks), chunk_bytes),
        estimated_s=duration_s(plan.videos, num_cpus, costs, config.detect_every_s),
    )


def _finished_rows(out: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of videos that need nothing more, by id.

    One that could not be read at all is not among them: it may be mended by now.
    """
    videos = read_videos(out)
    videos = videos[videos["codec"].notna()]
    rows: Any = videos.astype(object).where(videos.notna(), None).to_dict("records")
    return {row["video_id"]: row for row in rows}


def _record(plan: Plan, run: Run) -> list[dict[str, Any]]:
    """Write down what is planned; return the rows of the files that cannot be read."""
    for video_id in plan.done_ids:
        if left_over := run.work.load_plan(video_id):  # killed after the last table
            run.work.forget(left_over)
    for video in plan.videos:
        run.work.save_plan(video)
    rows = [unreadable_row(video, run.run_id) for video in plan.unreadable]
    for row in rows:
        write_video_row(run.out, row)
    return rows


def _nothing_readable(plan: Plan) -> str:
    first, *others = plan.unreadable
    return first.error + (f" {len(others)} more cannot be read either." if others else "")


def _analyze(
    plan: Plan,
    other_rows: Sequence[dict[str, Any]],
    config: AnalyzeConfig,
    run: Run,
    started: float,
) -> list[dict[str, Any]]:
    """Analyse what is planned and sum everything up; return all rows of the ``videos`` table."""
    with ray_session():
        _require_shared(run)
        begun = time.perf_counter()
        receipts, outcomes = _watch_and_finalize(plan, config, run)
        elapsed_s = time.perf_counter() - begun
    rows = [*other_rows, *(outcome.row for outcome in outcomes)]
    startup_s = begun - started
    print(summary(receipts, outcomes, rows, run, startup_s=startup_s, elapsed_s=elapsed_s))
    return rows


def _watch_and_finalize(
    plan: Plan, config: AnalyzeConfig, run: Run
) -> tuple[list[Receipt], list[VideoOutcome]]:
    """Analyse the chunks that have no receipt yet, and finalize each video after its last one."""
    chunks = [chunk for video in plan.videos for chunk in video.chunks]
    pending = [chunk for chunk in chunks if not run.work.is_done(chunk.chunk_id)]
    resources: dict[str, float] = ray.cluster_resources()
    pools = pools_for(resources.get("CPU", 1), resources.get("GPU", 0), len(pending))
    finalize_video = ray.remote(finalize).options(num_cpus=CPUS_PER_WORKER)
    action = load_action(config.action_model)

    left = Counter(chunk.video_id for chunk in pending)
    videos = {video.info.video_id: video for video in plan.videos}
    results = [finalize_video.remote(v, run, action) for id_, v in videos.items() if not left[id_]]
    progress = Progress.of(pending, plan)
    receipts = []
    try:
        for receipt in _receipts(pending, config, run.work, pools):
            receipts.append(receipt)
            progress.advance(receipt.num_planned)
            left[receipt.video_id] -= 1
            if not left[receipt.video_id]:
                results.append(finalize_video.remote(videos[receipt.video_id], run, action))
        outcomes: list[VideoOutcome] = ray.get(results)
    except KeyboardInterrupt:
        for chunk in pending:
            run.work.forget_attempts(chunk.chunk_id, "decode")
            run.work.forget_attempts(chunk.chunk_id, "watch")
        raise
    except RayError as error:
        raise _own_error(error) or error from error
    finally:
        progress.close()
    return receipts, outcomes


def _receipts(
    pending: Sequence[Chunk], config: AnalyzeConfig, work: Work, pools: Pools
) -> Iterator[Receipt]:
    """Decode and watch the chunks; yield their receipts as they come, in any order."""
    if not pending:
        return
    with DataContext.current(_quiet_context()):
        rows = ray.data.from_items(
            [chunk_row(chunk) for chunk in pending], override_num_blocks=len(pending)
        )
        decoded = rows.map_batches(
            functools.partial(decode, work=work),
            batch_size=1,
            batch_format="numpy",
            compute=TaskPoolStrategy(size=pools.num_decoders),
            num_cpus=CPUS_PER_WORKER,
            max_calls=DECODES_PER_WORKER,
        )
        watched = decoded.map_batches(
            Watch,
            fn_constructor_kwargs={
                "load_models": functools.partial(_load_models, config, pools.gpus_per_watcher),
                "work": work,
                "config": config,
            },
            batch_size=1,
            batch_format="numpy",
            compute=ActorPoolStrategy(size=pools.num_watchers),
            num_cpus=CPUS_PER_WORKER,
            num_gpus=pools.gpus_per_watcher,
        )
        for row in watched.iter_rows():
            yield Receipt.from_json(row["receipt"])


def _quiet_context() -> DataContext:
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the log file of the session stays complete
            handler.setLevel(logging.CRITICAL)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # the error of a worker, not its print-out
    return context


def _load_models(config: AnalyzeConfig, num_gpus: int) -> tuple[Detector | None, CropModel]:
    # one thread per worker: oversubscribed torch takes up to a hundred times as long
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    device: Device = "cuda" if num_gpus else "cpu"
    return _detector(config, device), load_pose(config.pose_model, device)


def _detector(config: AnalyzeConfig, device: Device) -> Detector | None:
    return detector_for(config.detector, weights=config.detector_weights, device=device)


def _require_shared(run: Run) -> None:
    """Refuse to start when some node would write to a folder of its own."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return
    mark = run.work.root / f"shared-{uuid.uuid4().hex}"
    mark.touch()
    exists = ray.remote(Path.exists).options(num_cpus=0)
    seen = [
        exists.options(label_selector={"ray.io/node-id": node["NodeID"]}).remote(mark)
        for node in nodes
    ]
    blind = [node["NodeName"] for node, sees in zip(nodes, ray.get(seen), strict=True) if not sees]
    mark.unlink()
    if blind:
        raise ConfigError(
            f"{run.out}: {len(blind)} of {len(nodes)} nodes do not have this folder "
            f"({', '.join(blind)}), so their results would be lost. Give an --out on storage that "
            "every node mounts."
        )


def _own_error(error: BaseException) -> PoseactError | None:
    """Return the error of ours that made a worker give up, if it was one."""
    own = None
    cause: BaseException | None = error
    while cause is not None:
        # Ray's wrapper is also an instance of what it wraps, but prints the worker's traceback
        own = cause if isinstance(cause, PoseactError) else own
        cause = getattr(cause, "cause", None) or cause.__cause__
    # Ray Data adds lines on its retries to the message
    return own and type(own)(str(own).partition("\n")[0])
