"""Train the action model on Ray Train and write its bundle: `poseact train-action`."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch

from poseact.datasets.actions import ACTIONS, ActionPoses
from poseact.evaluation.action_metrics import ActionFigures, measure_actions
from poseact.models.action import ARCHITECTURE, KIND, ActionClassifier, ActionNet
from poseact.models.bundle import Bundle, write_bundle
from poseact.training import checkpoints
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_steps import (
    Bodies,
    Recipe,
    choose_films,
    held_out_poses,
    new_net,
    new_optimizer,
    read_bodies,
    train_epoch,
    training_poses,
)
from poseact.training.command import command_line
from poseact.training.runner import run_training

EPOCHS_PER_REPORT = 5

HELD_OUT_PROTOCOL = (
    "people of FLIC films not trained on: as they are, and with generated arms in Hello with "
    "either hand, Namaste and hard negatives; true joints, one frame at a time"
)
PICTURES_PROTOCOL = "the two test pictures of the seed's table, labelled joints"


def train_action(config: TrainActionConfig) -> int:
    """Train the action model and write its bundle.

    Args:
        config: Settings.

    Returns:
        Exit code 0.

    Raises:
        ConfigError: If the settings do not fit the data or the cluster.
        InputError: If the data cannot be read.
        OutputError: If the bundle cannot be written.
    """
    films = choose_films(config, config.held_out_films, config.seed)
    bodies = read_bodies(config, films)
    poses = training_poses(bodies, config.seed)
    _print_data(bodies, poses)
    bundle = _write(config, bodies, poses, _trained_net(_run(config, poses)))
    _print_bundle(bundle)
    return 0


def _run(config: TrainActionConfig, poses: ActionPoses) -> Mapping[str, Any]:
    trained = run_training(
        _train_in_worker,
        # a few megabytes: workers need not see the data folder
        {"config": config, "poses": poses},
        name=_run_name(config, poses),
        storage=config.storage,
        num_workers=config.num_workers,
    )
    return trained.state


def _train_in_worker(loop_config: dict[str, Any]) -> None:
    config: TrainActionConfig = loop_config["config"]
    folder = loop_config["in_process_folder"]
    torch.set_num_threads(1)
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    poses: ActionPoses = loop_config["poses"]
    # equal shards, because every worker must take part in every step
    shard = poses.take(np.arange(rank, len(poses) - len(poses) % world_size, world_size))
    recipe = Recipe(
        augment=config.augment,
        epochs=config.epochs,
        batch_size=config.batch_size // world_size,
        seed=config.seed,
    )
    net = new_net(config.seed)
    optimizer = new_optimizer(net)
    first_epoch = _resume(net, optimizer, checkpoints.last_state(folder))
    model = ray.train.torch.prepare_model(net, move_to_device=False)
    for epoch in range(first_epoch, config.epochs):
        loss = train_epoch(model, optimizer, shard, recipe, epoch, rank=rank)
        if not _is_due(epoch + 1, config.epochs):
            continue
        if rank == 0:
            print(f"epoch {epoch + 1} of {config.epochs}: loss {loss:.4f}", flush=True)
        metrics = {"epoch": epoch + 1, "loss": loss}
        checkpoints.report(metrics, _state(net, optimizer, epoch + 1, rank), folder)


def _is_due(epochs_done: int, epochs: int) -> bool:
    return epochs_done % EPOCHS_PER_REPORT == 0 or epochs_done == epochs


def _state(
    net: ActionNet, optimizer: torch.optim.Optimizer, epochs_done: int, rank: int
) -> dict[str, Any] | None:
    """Return what to go on from; one worker's is enough."""
    if rank > 0:
        return None
    return {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epochs_done": epochs_done,
    }


def _resume(net: ActionNet, optimizer: torch.optim.Optimizer, state: dict[str, Any] | None) -> int:
    if state is None:
        return 0
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs_done"])


def _trained_net(state: Mapping[str, Any]) -> ActionNet:
    net = ActionNet(len(ACTIONS))
    net.load_state_dict(state["net"])
    return net


def _run_name(config: TrainActionConfig, poses: ActionPoses) -> str:
    """Name the run after all that decides its result, so that the same command resumes it."""
    settings = f"{config.augment} {config.epochs} {config.batch_size} {config.seed}"
    return f"action-{hashlib.sha256((settings + _hash_poses(poses)).encode()).hexdigest()[:8]}"


def _write(config: TrainActionConfig, bodies: Bodies, poses: ActionPoses, net: ActionNet) -> Bundle:
    classifier = ActionClassifier(net, ACTIONS, "just trained")
    held_out = held_out_poses(bodies, config.seed)
    manifest = {
        "kind": KIND,
        "name": ARCHITECTURE,
        "architecture": ARCHITECTURE,
        "classes": list(ACTIONS),
        "features": "21 pairwise joint distances in body scales (shoulder width + middle of the "
        "shoulders to head); -1 where a joint is not seen",
        "training_data": "Arms in Hello (right hand), Namaste and hard negatives are generated on "
        "bodies of FLIC; other = FLIC's own poses and the hard negatives. Besides, the training "
        "pictures of the seed's Namaste/Hello table.",
        "training_pictures": len(bodies.train_pictures),
        "training_poses": poses.count_classes(),
        "held_out_films": bodies.held_out_films,
        "metrics": {
            "held_out_films": {
                "protocol": HELD_OUT_PROTOCOL,
                **_measure(classifier, held_out).as_json(),
            },
            "test_pictures": {
                "protocol": PICTURES_PROTOCOL,
                **_measure(classifier, bodies.test_pictures).as_json(),
            },
        },
        "data_hash": _hash_poses(poses),
        "command": command_line("train-action", config),
        "seed": config.seed,
    }
    return write_bundle(config.out, manifest=manifest, tensors=net.state_dict())


def _measure(classifier: ActionClassifier, poses: ActionPoses) -> ActionFigures:
    return measure_actions(poses.labels_N, classifier.predict(poses.joints_NJ2))


def _hash_poses(poses: ActionPoses) -> str:
    digest = hashlib.sha256(poses.joints_NJ2.tobytes())
    digest.update(poses.labels_N.tobytes())
    return digest.hexdigest()[:12]


def _print_data(bodies: Bodies, poses: ActionPoses) -> None:
    for name, part in (
        ("training poses", poses),
        ("  of these the seed's pictures", bodies.train_pictures),
        ("held-out bodies", bodies.held_out),
        ("test pictures", bodies.test_pictures),
    ):
        counts = ", ".join(f"{action} {count}" for action, count in part.count_classes().items())
        print(f"{name}: {len(part)} ({counts})")
    print(f"held-out films: {', '.join(bodies.held_out_films)}", flush=True)


def _print_bundle(bundle: Bundle) -> None:
    for name, figures in bundle.manifest["metrics"].items():
        print(f"{name}: accuracy {figures['accuracy']:.4f}, macro-F1 {figures['macro_f1']:.4f}")
    print(f"wrote {bundle.path} ({bundle.model_id})")
