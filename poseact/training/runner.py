"""How any training loop runs on Ray Train: workers, checkpoints, resume, failures."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.train
from ray.train import CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from poseact.errors import ConfigError
from poseact.ray_session import ray_session

CHECKPOINT = "state.pt"
"""File inside a checkpoint."""

MAX_FAILURES = 3
"""Times that dead workers are started again, from the last checkpoint."""


def run_training(  # noqa: PLR0913 - what Ray Train needs to be told
    loop: Callable[[dict[str, Any]], None],
    loop_config: dict[str, Any],
    *,
    name: str,
    storage: Path,
    num_workers: int,
    threads_per_worker: int = 1,
    use_gpu: bool = False,
) -> Result:
    """Run a training loop on Ray Train and wait for it.

    The loop goes on from ``ray.train.get_checkpoint()``: a second call with the same name and
    storage resumes, also after a crash.

    Args:
        loop: Runs in every worker with ``loop_config``.
        loop_config: Plain values.
        name: Name of the run, a folder below ``storage``.
        storage: Folder for checkpoints that every node can reach.
        num_workers: Worker processes; 0 runs the loop in this process.
        threads_per_worker: CPU cores reserved for, and used by, each worker.
        use_gpu: Whether each worker gets a GPU.

    Returns:
        Last metrics and checkpoint.

    Raises:
        ConfigError: If a GPU is asked for and the cluster has none.
    """
    with ray_session() if num_workers else contextlib.nullcontext():
        if use_gpu and not ray.cluster_resources().get("GPU"):
            raise ConfigError("use_gpu: the cluster has no GPU. Leave --use-gpu out.")
        trainer = TorchTrainer(
            loop,
            train_loop_config=loop_config,
            scaling_config=ScalingConfig(
                num_workers=num_workers,
                use_gpu=use_gpu,
                resources_per_worker={"CPU": threads_per_worker, "GPU": int(use_gpu)},
            ),
            run_config=RunConfig(
                name=name,
                storage_path=os.fspath(storage.resolve()),
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )
        return trainer.fit()
