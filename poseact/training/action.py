"""Train the action model on Ray Train and write its bundle: `poseact train-action`."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import nn

from poseact.datasets.actions import ACTIONS, ActionPoses
from poseact.datasets.pose_crops import in_own_crops
from poseact.evaluation.action_metrics import measure_classifier
from poseact.evaluation.calibration import fit_temperature
from poseact.models.action import KIND, ActionClassifier
from poseact.models.bundle import Bundle, write_bundle
from poseact.training import checkpoints
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_steps import (
    Bodies,
    Recipe,
    calibration_poses,
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
    "people of FLIC films neither trained nor calibrated on: as they are, and with generated arms "
    "in Hello with either hand, Namaste and hard negatives; true joints, one frame at a time"
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
    bundle = _write(config, bodies, poses, _trained_net(config, _run(config, poses)))
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
    recipe = _recipe(config, world_size)
    net = new_net(recipe, len(poses.classes))
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


def _recipe(config: TrainActionConfig, num_workers: int = 1) -> Recipe:
    return Recipe(
        features=config.features,
        augment=config.augment,
        epochs=config.epochs,
        batch_size=config.batch_size // num_workers,
        seed=config.seed,
    )


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


def _trained_net(config: TrainActionConfig, state: Mapping[str, Any]) -> nn.Module:
    net = _recipe(config).shape.new_net(len(ACTIONS))
    net.load_state_dict(state["net"])
    return net


def _run_name(config: TrainActionConfig, poses: ActionPoses) -> str:
    """Name the run after all that decides its result, so that the same command resumes it."""
    settings = f"{_recipe(config)} {_hash_poses(poses)}"
    return f"action-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def _write(config: TrainActionConfig, bodies: Bodies, poses: ActionPoses, net: nn.Module) -> Bundle:
    shape = _recipe(config).shape
    temperature = _fit_temperature(config, bodies, net)
    classifier = ActionClassifier(
        net, shape, poses.classes, "just trained", temperature=temperature
    )
    manifest = {
        "kind": KIND,
        "name": f"{shape.features}-mlp",
        "architecture": dataclasses.asdict(shape),
        "temperature": round(temperature, 4),
        "classes": list(poses.classes),
        "training_data": "Arms in Hello (right hand), Namaste and hard negatives are generated on "
        "bodies of FLIC; other = FLIC's own poses and the hard negatives. Besides, the training "
        "pictures of the seed's Namaste/Hello table.",
        "training_pictures": len(bodies.train_pictures),
        "training_poses": poses.count_classes(),
        "held_out_films": bodies.held_out_films,
        "metrics": {
            "held_out_films": {
                "protocol": HELD_OUT_PROTOCOL,
                **measure_classifier(classifier, held_out_poses(bodies, config.seed)).as_json(),
            },
            "test_pictures": {
                "protocol": PICTURES_PROTOCOL,
                **measure_classifier(classifier, bodies.test_pictures).as_json(),
            },
        },
        "data_hash": _hash_poses(poses),
        "command": command_line("train-action", config),
        "seed": config.seed,
    }
    return write_bundle(config.out, manifest=manifest, tensors=net.state_dict())


def _fit_temperature(config: TrainActionConfig, bodies: Bodies, net: nn.Module) -> float:
    poses = calibration_poses(bodies, config.seed)
    classifier = ActionClassifier(net, _recipe(config).shape, poses.classes, "not calibrated")
    return fit_temperature(poses.labels_N, classifier.predict(in_own_crops(poses.joints_NJ3)))


def _hash_poses(poses: ActionPoses) -> str:
    digest = hashlib.sha256(poses.joints_NJ3.tobytes())
    digest.update(poses.labels_N.tobytes())
    return digest.hexdigest()[:12]


def _print_data(bodies: Bodies, poses: ActionPoses) -> None:
    for name, part in (
        ("training poses", poses),
        ("  of these the seed's pictures", bodies.train_pictures),
        ("bodies to calibrate on", bodies.calibration),
        ("bodies to measure on", bodies.held_out),
        ("test pictures", bodies.test_pictures),
    ):
        counts = ", ".join(f"{action} {count}" for action, count in part.count_classes().items())
        print(f"{name}: {len(part)} ({counts})")
    print(f"held-out films: {', '.join(bodies.held_out_films)}", flush=True)


def _print_bundle(bundle: Bundle) -> None:
    for name, figures in bundle.manifest["metrics"].items():
        print(
            f"{name}: accuracy {figures['accuracy']:.4f}, macro-F1 {figures['macro_f1']:.4f}, "
            f"ECE-15 {figures['ece_15']:.4f}, Brier {figures['brier']:.4f}"
        )
    print(f"wrote {bundle.path} ({bundle.model_id})")
