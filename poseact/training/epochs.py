"""The epochs of one Ray Train worker: train, watch progress, report, resume."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import ray.train

from poseact.training import checkpoints
from poseact.training.fit import Shard
from poseact.training.fit_config import FitConfig

RunEpoch: TypeAlias = Callable[[int], float]
"""From the number of an epoch to its mean loss."""

Progress: TypeAlias = Callable[[], Mapping[str, float]]
"""Measures the network on those held out: figures by name."""


class Training(Protocol):
    """What is saved and restored between epochs."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""


def worker_shard() -> Shard:
    """Return the part of the data that this Ray Train worker has."""
    context = ray.train.get_context()
    return Shard(rank=context.get_world_rank(), world_size=context.get_world_size())


def run_epochs(
    training: Training,
    config: FitConfig,
    *,
    shard: Shard,
    folder: Path | None,
    prepare: Callable[[], tuple[RunEpoch, Progress]],
) -> None:
    """Run the epochs that are left.

    Args:
        training: Training state of this worker.
        config: Settings.
        shard: Place of this worker; the first one measures and saves.
        folder: Where to keep the state if the loop runs in this process.
        prepare: Reads the data; not called when no epoch is left.
    """
    state = checkpoints.last_state(folder)
    history: list[dict[str, float]] = []
    if state is not None:
        training.load_state_dict(state)
        history = state["history"]
    if len(history) == config.epochs:
        return
    run_epoch, measure_progress = prepare()
    for epoch in range(len(history), config.epochs):
        started = time.monotonic()
        metrics = {"epoch": epoch + 1, "loss": run_epoch(epoch)}
        is_due = (epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs
        is_kept = shard.rank == 0 and is_due
        if is_kept:
            metrics |= measure_progress()
        metrics["epoch_s"] = time.monotonic() - started
        history.append(metrics)
        if shard.rank == 0:
            print(" ".join(f"{name} {value:.4g}" for name, value in metrics.items()), flush=True)
        kept = {**training.state_dict(), "history": history} if is_kept else None
        checkpoints.report(metrics, kept, folder)
