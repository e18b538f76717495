"""State of a training loop between epochs and between runs.

Ray Train copies checkpoints to its storage, except with ``num_workers=0``: in this process it only
remembers the folder it was given and never resumes. Such a loop keeps its state in a folder of its
own.
"""

import tempfile
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint

from poseact.training.runner import CHECKPOINT


def report(
    metrics: dict[str, Any], state: dict[str, Any] | None, in_process_folder: Path | None
) -> None:
    """Report an epoch, which every worker must do equally often.

    Args:
        metrics: Figures of the epoch.
        state: What to go on from, tensors and plain values; None without a checkpoint.
        in_process_folder: Where to keep it if the loop runs in this process, else None.
    """
    if state is None:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if in_process_folder is None else in_process_folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / f"{CHECKPOINT}.new")
        (folder / f"{CHECKPOINT}.new").replace(folder / CHECKPOINT)
        ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))


def last_state(in_process_folder: Path | None) -> dict[str, Any] | None:
    """Return the state to go on from, None at the start of a run."""
    if in_process_folder is None:
        checkpoint = ray.train.get_checkpoint()
        return None if checkpoint is None else read_state(checkpoint)
    if not (in_process_folder / CHECKPOINT).exists():
        return None
    return read_state(Checkpoint.from_directory(in_process_folder))


def read_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the state that a checkpoint holds, on the CPU."""
    with checkpoint.as_directory() as folder:
        state: dict[str, Any] = torch.load(
            Path(folder) / CHECKPOINT, map_location="cpu", weights_only=True
        )
    return state
