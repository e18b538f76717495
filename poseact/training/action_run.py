"""Fitting an action model on Ray Train."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import nn

from poseact.training import checkpoints
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_epochs import ActionRecipe, LabelledT, new_net, train_epoch
from poseact.training.runner import run_training

EPOCHS_PER_REPORT = 5


def train_net(
    config: TrainActionConfig, recipe: ActionRecipe[LabelledT], data: LabelledT
) -> nn.Module:
    """Train a network, or go on with it where the same call was interrupted.

    Args:
        config: Says where checkpoints go and how many workers there are.
        recipe: Everything else that decides the result.
        data: What to learn from.

    Raises:
        ConfigError: If the settings do not fit the cluster.
    """
    settings = f"{recipe} {data.data_hash()}"
    trained = run_training(
        _train_in_worker,
        # a few megabytes: workers need not see the data folder
        {"recipe": recipe, "data": data},
        # all that decides the result, so that the same command resumes it
        name=f"action-{hashlib.sha256(settings.encode()).hexdigest()[:8]}",
        storage=config.storage,
        num_workers=config.num_workers,
    )
    return _net_of(trained.state, recipe, len(data.classes))


def _train_in_worker(loop_config: dict[str, Any]) -> None:
    folder = loop_config["in_process_folder"]
    torch.set_num_threads(1)
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    recipe, data = loop_config["recipe"], loop_config["data"]
    recipe = dataclasses.replace(recipe, batch_size=recipe.batch_size // world_size)
    # equal shards, because every worker must take part in every step
    shard = data.take(np.arange(rank, len(data) - len(data) % world_size, world_size))
    net = new_net(recipe, len(data.classes))
    optimizer = recipe.new_optimizer(net)
    first_epoch = _resume(net, optimizer, checkpoints.last_state(folder))
    model = ray.train.torch.prepare_model(net, move_to_device=False)
    for epoch in range(first_epoch, recipe.epochs):
        loss = train_epoch(model, optimizer, shard, recipe, epoch, rank=rank)
        if not _is_due(epoch + 1, recipe.epochs):
            continue
        if rank == 0:
            print(f"epoch {epoch + 1} of {recipe.epochs}: loss {loss:.4f}", flush=True)
        metrics = {"epoch": epoch + 1, "loss": loss}
        checkpoints.report(metrics, _state(net, optimizer, epoch + 1, rank), folder)


def _is_due(epochs_done: int, epochs: int) -> bool:
    return epochs_done % EPOCHS_PER_REPORT == 0 or epochs_done == epochs


def _state(
    net: nn.Module, optimizer: torch.optim.Optimizer, epochs_done: int, rank: int
) -> dict[str, Any] | None:
    """Return what to go on from; one worker's is enough."""
    if rank > 0:
        return None
    return {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epochs_done": epochs_done,
    }


def _resume(net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any] | None) -> int:
    if state is None:
        return 0
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs_done"])


def _net_of(
    state: Mapping[str, Any], recipe: ActionRecipe[LabelledT], num_classes: int
) -> nn.Module:
    net = recipe.shape.new_net(num_classes)
    net.load_state_dict(state["net"])
    return net
