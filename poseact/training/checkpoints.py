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
from ray.train import Checkpoint, Result

STATE_FILE = "state.pt"
"""File inside a checkpoint."""


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
        torch.save(state, folder / f"{STATE_FILE}.new")
        (folder / f"{STATE_FILE}.new").replace(folder / STATE_FILE)
        ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))


def last_state(in_process_folder: Path | None) -> dict[str, Any] | None:
    """Return the state that a loop goes on from, None at the start of a run."""
    if in_process_folder is None:
        checkpoint = ray.train.get_checkpoint()
        return None if checkpoint is None else _read(checkpoint)
    if not (in_process_folder / STATE_FILE).exists():
        return None
    return _read(Checkpoint.from_directory(in_process_folder))


def final_state(result: Result, in_process_folder: Path | None) -> dict[str, Any]:
    """Return the last state of a run that ended."""
    if in_process_folder is not None:
        return _read(Checkpoint.from_directory(in_process_folder))
    assert result.checkpoint is not None  # noqa: S101 - the last epoch always reports one
    return _read(result.checkpoint)


def _read(checkpoint: Checkpoint) -> dict[str, Any]:
    with checkpoint.as_directory() as folder:
        state: dict[str, Any] = torch.load(
            Path(folder) / STATE_FILE, map_location="cpu", weights_only=True
        )
    return state
