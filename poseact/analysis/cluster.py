"""What the analysis runs on Ray: listing, planning, the chunks' pipeline, and finalizing.

Every task and actor may be killed at any time and is started again: what it wrote has a name of its
own, and whoever finds it written does not write it differently.
"""

import contextlib
import functools
import itertools
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from poseact.analysis.actions import ActionModel
from poseact.analysis.config import AnalyzeConfig
from poseact.analysis.decoding import Decode, chunk_row
from poseact.analysis.finalize import finalize
from poseact.analysis.ledger import Receipt
from poseact.analysis.outcome import VideoOutcome
from poseact.analysis.plan import (
    Inputs,
    Outline,
    Planned,
    RecordedPlan,
    find_pattern,
    join_inputs,
    make_outline,
    record_plan,
)
from poseact.analysis.resources import CPUS_PER_TASK, CPUS_PER_WORKER, Pools, store_bytes
from poseact.analysis.run import Run
from poseact.analysis.stages import Watch
from poseact.errors import ConfigError, OutputError, PoseactError
from poseact.models.detection import Detector
from poseact.models.looks import CropModel
from poseact.storage import is_remote

T = TypeVar("T")

LoadModels = Callable[[], tuple[Detector | None, CropModel]]

FILES_PER_TASK = 32
"""Files that one planning task probes."""

CHUNKS_PER_WAVE = 2000
"""Chunks that Ray Data is given at once: it keeps a record of each task, and plans them all before
the first starts. Loading the models anew for each wave is little against its hours of video."""

ALWAYS = -1
"""A task of ours is started again whenever its process or node died: it keeps a record of that
itself, and sets aside what it died of too often."""


def list_videos(patterns: Sequence[str], limit: int | None) -> Inputs:
    """List on the cluster the files that patterns stand for; as ``find_inputs`` in all else."""
    return join_inputs(_in_tasks(find_pattern, patterns), limit)


def outline_run(uris: Sequence[str], *, chunk_bytes: int) -> Outline:
    """Plan files on the cluster and write nothing down."""
    return Outline.joined(_in_tasks(make_outline, _batches(uris), chunk_bytes=chunk_bytes))


def plan_run(
    uris: Sequence[str], run: Run, config: AnalyzeConfig, done_ids: frozenset[str]
) -> RecordedPlan:
    """Plan the files of a run on the cluster, and write the plan down.

    Args:
        uris: Absolute paths.
        run: The run.
        config: Settings.
        done_ids: Videos that need nothing more.

    Returns:
        The plan.

    Raises:
        OutputError: If the work folder cannot be written.
    """
    parts = _in_tasks(
        record_plan,
        _batches(uris),
        run=run,
        chunk_bytes=config.chunk_bytes,
        done_ids=ray.put(done_ids),
        read_timeout_s=config.frame_timeout_s,
    )
    return RecordedPlan.joined(parts)


def watch_chunks(
    videos: Sequence[Planned],
    run: Run,
    config: AnalyzeConfig,
    pools: Pools,
    load_models: LoadModels,
) -> Iterator[Receipt]:
    """Decode and watch chunks; yield their receipts as they come, in any order.

    Args:
        videos: What is to be done.
        run: The run.
        config: Settings.
        pools: Workers.
        load_models: Returns the detector, or None, and the pose model.

    Raises:
        PoseactError: What made a worker give up; OutputError if the cluster failed.
    """
    pending = (chunk_row(video.video_id, place) for video in videos for place in video.pending)
    memory = store_bytes(pools, max(video.largest_chunk_bytes for video in videos))
    while rows := list(itertools.islice(pending, CHUNKS_PER_WAVE)):
        with DataContext.current(_context(memory)):
            decoded = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                Decode,
                fn_constructor_kwargs={
                    "work": run.work,
                    "frame_timeout_s": config.frame_timeout_s,
                },
                batch_size=1,
                batch_format="numpy",
                compute=ActorPoolStrategy(size=min(pools.num_decoders, len(rows))),
                num_cpus=CPUS_PER_WORKER,
            )
            watched = decoded.map_batches(
                Watch,
                fn_constructor_kwargs={
                    "load_models": load_models,
                    "work": run.work,
                    "config": config,
                },
                batch_size=1,
                batch_format="numpy",
                compute=ActorPoolStrategy(size=min(pools.num_watchers, len(rows))),
                num_cpus=CPUS_PER_WORKER,
                num_gpus=pools.gpus_per_watcher,
            )
            with _own_errors():
                for row in watched.iter_rows():
                    yield Receipt.from_json(row["receipt"])


class Finalizer:
    """Finalizes videos on the cluster, a few at a time: each holds the people of a whole video."""

    def __init__(self, run: Run, action: ActionModel, max_at_once: int) -> None:
        """Start with nothing to do.

        Args:
            run: The run.
            action: Scores what people do.
            max_at_once: Videos that are finalized at the same time.
        """
        self._task = _task(finalize)
        self._run, self._action = ray.put(run), ray.put(action)
        self._max_at_once = max_at_once
        self._waiting: deque[str] = deque()
        self._running: list[Any] = []
        self._outcomes: list[VideoOutcome] = []

    def add(self, video_id: str) -> None:
        """Finalize a video whose chunks are all done, when there is room."""
        self._waiting.append(video_id)
        self._advance(timeout_s=0)

    def finish(self) -> list[VideoOutcome]:
        """Wait for all videos; PoseactError if one cannot be finalized."""
        while self._waiting or self._running:
            self._advance(timeout_s=None)
        return self._outcomes

    def _advance(self, timeout_s: float | None) -> None:
        if self._running:
            done, self._running = ray.wait(self._running, timeout=timeout_s)
            with _own_errors():
                self._outcomes += ray.get(done)
        while self._waiting and len(self._running) < self._max_at_once:
            video_id = self._waiting.popleft()
            self._running.append(self._task.remote(video_id, self._run, self._action))


def require_shared(run: Run) -> None:
    """Refuse to start when some node would write to a folder of its own.

    Raises:
        ConfigError: If a node does not see the folder of the results.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1 or is_remote(run.out):
        return
    mark = run.work.root / f"shared-{uuid.uuid4().hex}"
    assert isinstance(mark, Path)  # noqa: S101 - for the type checker
    mark.touch()
    try:
        exists = ray.remote(num_cpus=0)(Path.exists)
        labels = [{"ray.io/node-id": node["NodeID"]} for node in nodes]
        answers = [exists.options(label_selector=label).remote(mark) for label in labels]
        with _own_errors():
            seen = [_sees_or_is_dead(answer) for answer in answers]
    finally:
        mark.unlink(missing_ok=True)
    blind = [node["NodeName"] for node, sees in zip(nodes, seen, strict=True) if not sees]
    if blind:
        raise ConfigError(
            f"{run.out}: {len(blind)} of {len(nodes)} nodes do not have this folder "
            f"({', '.join(blind)}), so their results would be lost. Give an --out on storage that "
            "every node mounts, or in a store such as s3://bucket/folder."
        )


def _sees_or_is_dead(answer: Any) -> bool:  # noqa: ANN401 - Ray's reference to what a node says
    try:
        return bool(ray.get(answer))
    except RayTaskError:
        raise
    except RayError:  # the node died, and whoever died writes nothing
        return True


def _batches(uris: Sequence[str]) -> list[Sequence[str]]:
    return [uris[first : first + FILES_PER_TASK] for first in range(0, len(uris), FILES_PER_TASK)]


def _task(function: Callable[..., T]) -> Any:  # noqa: ANN401 - what Ray returns has no type
    return ray.remote(function).options(num_cpus=CPUS_PER_TASK, max_retries=ALWAYS)


def _in_tasks(
    function: Callable[..., T], arguments: Sequence[object], **settings: object
) -> Iterator[T]:
    """Call a function once for each argument on the cluster; yield what it returns, in order."""
    start = functools.partial(_task(function).remote, **settings)
    max_at_once = max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
    left = iter(arguments)
    running = deque(start(argument) for argument in itertools.islice(left, max_at_once))
    while running:
        with _own_errors():
            result = ray.get(running.popleft())
        running.extend(start(argument) for argument in itertools.islice(left, 1))
        yield result


def _context(memory: int) -> DataContext:
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the log file of the session stays complete
            handler.setLevel(logging.CRITICAL)
    context = DataContext.get_current().copy()
    # else decoding runs ahead of slow storage until Ray's store is full
    limits = ExecutionResources.for_limits(object_store_memory=memory)
    context.execution_options.resource_limits = limits
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # the error of a worker, not its print-out
    return context


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """Raise the error of ours that made a worker give up in place of Ray's, if it was one."""
    try:
        yield
    except RayTaskError as error:  # an error of Python's in a worker
        own = _own_error(error)
        if own is not None:
            raise own from error
        if isinstance(error.cause, OSError):
            raise OutputError(
                f"a worker cannot read or write ({error.cause}). Give the same command again; it "
                "goes on where it stopped."
            ) from error
        raise
    except (RayError, ExecutionTimeoutError) as error:
        reason = str(error).partition("\n")[0]
        raise OutputError(
            f"the cluster failed: {type(error).__name__}: {reason} Give the same command again; it "
            "goes on where it stopped."
        ) from error


def _own_error(error: BaseException) -> PoseactError | None:
    own = None
    cause: BaseException | None = error
    while cause is not None:
        # Ray's wrapper is also an instance of what it wraps, but prints the worker's traceback
        own = cause if isinstance(cause, PoseactError) else own
        cause = getattr(cause, "cause", None) or cause.__cause__
    # Ray Data adds lines on its retries to the message
    return own and type(own)(str(own).partition("\n")[0])
