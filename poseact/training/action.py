"""Train the action model on Ray Train and write its bundle: `poseact train-action`."""

import dataclasses

from torch import nn

from poseact.datasets.actions import ActionPoses
from poseact.evaluation.action_metrics import measure_classifier
from poseact.evaluation.calibration import fit_temperature
from poseact.models.action import KIND, ActionClassifier
from poseact.models.bundle import Bundle, write_bundle
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_run import train_net
from poseact.training.action_steps import (
    Bodies,
    Recipe,
    calibration_poses,
    choose_films,
    held_out_poses,
    read_bodies,
    training_poses,
)
from poseact.training.command import command_line
from poseact.training.own_action import train_own_action

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
    if config.own_labels is not None:
        train_own_action(config, config.own_labels)
        return 0
    films = choose_films(config, config.held_out_films, config.seed)
    bodies = read_bodies(config, films)
    poses = training_poses(bodies, config.seed)
    _print_data(bodies, poses)
    bundle = _write(config, bodies, poses, train_net(config, _recipe(config), poses))
    _print_bundle(bundle)
    return 0


def _recipe(config: TrainActionConfig) -> Recipe:
    return Recipe(
        features=config.features,
        augment=config.augment,
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
    )


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
        "data_hash": poses.data_hash(),
        "command": command_line("train-action", config),
        "seed": config.seed,
    }
    return write_bundle(config.out, manifest=manifest, tensors=net.state_dict())


def _fit_temperature(config: TrainActionConfig, bodies: Bodies, net: nn.Module) -> float:
    poses = calibration_poses(bodies, config.seed)
    classifier = ActionClassifier(net, _recipe(config).shape, poses.classes, "not calibrated")
    return fit_temperature(*_recipe(config).answers(classifier, poses))


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
