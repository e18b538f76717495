"""Pose training on Ray Train: from folders of labelled people to a bundle."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray.train.torch
import torch

from poseact.datasets.canvas import concatenate, draw_canvases, render_canvases
from poseact.datasets.person import LabelledPerson, data_hash
from poseact.errors import InputError
from poseact.evaluation.pck import PoseErrors
from poseact.evaluation.protocols import (
    evaluate_protocol,
    guess_protocol,
    jitter_squares,
    predict_people,
)
from poseact.evaluation.samples import HIT
from poseact.models.bundle import Bundle, read_bundle, write_bundle
from poseact.models.calibration import Calibration
from poseact.models.pose import PoseNet
from poseact.models.presets import PRESETS, build_pose
from poseact.models.runtime import PoseEstimator, load_pose
from poseact.skeleton import JOINTS
from poseact.training.command import command_line
from poseact.training.config import TrainPoseConfig
from poseact.training.curves import write_curves
from poseact.training.epochs import Progress, RunEpoch, run_epochs, worker_shard
from poseact.training.fit import averaged_net
from poseact.training.pose_people import PosePeople, read_people
from poseact.training.pose_step import PoseTraining, new_net
from poseact.training.runner import Trained, run_training

CALIBRATION_PEOPLE = 2000


def train_pose(config: TrainPoseConfig) -> int:
    """Fit the pose model, write the bundle, measure it; return the exit code.

    Raises:
        InputError: If a folder cannot be read, or holds too few people for a step.
        ConfigError: If the weights to start from do not fit, or the cluster has no GPU.
        BundleError: If a bundle to start or learn from cannot be used.
        OutputError: If the bundle cannot be written.
    """
    people = read_people(config)
    num_views = _num_views(config, people)
    if num_views < config.batch_size:
        raise InputError(
            f"{', '.join(map(str, config.data))}: {num_views} people to learn from, fewer than "
            f"the {config.batch_size} of one step. Add data, or lower --batch-size."
        )
    print(f"{len(people.train)} people to learn from, {len(people.validation)} to watch progress")
    origin = _origin(config)
    trained = run_training(
        _worker,
        {"config": config.absolute()},
        name=run_name(config, people.train, origin),
        storage=config.storage,
        num_workers=config.num_workers,
        threads_per_worker=config.threads_per_worker,
        use_gpu=config.use_gpu,
    )
    bundle = _write(config, people, origin, trained)
    write_curves(trained.state["history"], bundle.path)
    print(f"wrote {bundle.path} ({bundle.model_id})")
    return 0


def run_name(
    config: TrainPoseConfig, people: Sequence[LabelledPerson], origin: Mapping[str, Any]
) -> str:
    """Name the run after all that decides its result, so that the same command resumes it.

    Args:
        config: Settings.
        people: Whom it learns from.
        origin: Whose weights it starts from and who teaches it, as the manifest says.
    """
    settings = dataclasses.asdict(config)
    for name in ("data", "out", "storage", "num_workers", "threads_per_worker", "use_gpu"):
        del settings[name]
    settings["origin"] = origin
    text = json.dumps(settings, sort_keys=True, default=str) + data_hash(people)
    return f"pose-{config.preset}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def measure_unseen(estimator: PoseEstimator, config: TrainPoseConfig) -> list[dict[str, Any]]:
    """Measure a model on the people of its data folders that it did not learn from."""
    flic_protocols = ["supplied", "official"]
    if config.flic_train != "both":
        flic_protocols = [config.flic_train]
    if config.fold is not None:
        flic_protocols = []
    protocols = {"people": ["people"], "supplied": flic_protocols, "official": flic_protocols}
    reports = [
        evaluate_protocol(estimator, folder, protocol)
        for folder in config.data
        for protocol in protocols.get(guess_protocol(folder), [])
    ]
    per_group = "groups"  # long; `poseact evaluate-pose` prints it
    return [{k: v for k, v in report.items() if k != per_group} for report in reports]


def calibrate(estimator: PoseEstimator, people: Sequence[LabelledPerson]) -> Calibration:
    """Learn how likely a joint of some confidence lies within 0.2 torsos of its label.

    Args:
        estimator: A model whose confidences are as decoded.
        people: Those it learnt from. They are shown on jittered crops, on which it errs about as
            often as on people whom it has not seen.

    Returns:
        The calibration.
    """
    known = [person for person in people if person.torso_px > 0]
    if not known:
        return Calibration(slope=1.0, offset=0.0)
    rows = np.linspace(0, len(known) - 1, min(CALIBRATION_PEOPLE, len(known))).astype(int)
    some = [known[row] for row in rows]
    found_PJ3 = predict_people(estimator, some, jitter_squares(some))
    true_PJ2 = np.stack([person.joints_J3[:, :2] for person in some])
    torso_P = np.array([person.torso_px for person in some], np.float32)
    distance_PJ = PoseErrors.measure(found_PJ3[..., :2], true_PJ2, torso_P).distance_PJ
    is_known_PJ = ~np.isnan(distance_PJ)
    return Calibration.fit(found_PJ3[..., 2][is_known_PJ], distance_PJ[is_known_PJ] <= HIT)


def _num_views(config: TrainPoseConfig, people: PosePeople) -> int:
    return sum(people.repeats) + config.rendered


def _worker(loop_config: dict[str, Any]) -> None:
    """Train in one Ray Train worker."""
    config: TrainPoseConfig = loop_config["config"]
    shard = worker_shard()
    torch.set_num_threads(config.threads_per_worker)
    people = read_people(config)
    training = PoseTraining(
        config,
        _num_views(config, people),
        device=ray.train.torch.get_device(),
        shard=shard,
        wrap=ray.train.torch.prepare_model,
    )

    def prepare() -> tuple[RunEpoch, Progress]:
        canvases = concatenate(
            draw_canvases(shard.of(people.train)),
            render_canvases(config.rendered // shard.world_size, seed=config.seed + shard.rank),
        )
        repeats = np.ones(len(canvases), int)
        repeats[: len(shard.of(people.train))] = shard.of(people.repeats)
        return (
            lambda epoch: training.run_epoch(canvases, repeats, epoch),
            lambda: _progress(training.averaged, people.validation),
        )

    run_epochs(
        training, config, shard=shard, folder=loop_config["in_process_folder"], prepare=prepare
    )


def _progress(net: PoseNet, people: Sequence[LabelledPerson]) -> dict[str, float]:
    if not people:
        return {}
    found_PJ3 = predict_people(PoseEstimator.from_net(net.eval()), people)
    true_PJ2 = np.stack([person.joints_J3[:, :2] for person in people])
    torso_P = np.array([person.torso_px for person in people], np.float32)
    pck = PoseErrors.measure(found_PJ3[..., :2], true_PJ2, torso_P).pck(HIT)
    return {f"pck_{group}": value for group, value in pck.items()}


def _write(
    config: TrainPoseConfig,
    people: PosePeople,
    origin: Mapping[str, Any],
    trained: Trained,
) -> Bundle:
    net = averaged_net(build_pose(PRESETS[config.preset]), config, trained.state)
    manifest: dict[str, Any] = {
        "kind": "pose",
        "name": f"pose-{config.preset}",
        "architecture": dataclasses.asdict(net.shape),
        "joints": list(JOINTS),
        "normalization": "(rgb - 114) / 64",
        "command": command_line("train-pose", config),
        **origin,
        "fold": config.fold,
        "mirror_test": config.mirror_test,
        "seed": config.seed,
        "epochs": config.epochs,
        "num_people": len(people.train),
        "num_rendered": config.rendered,
        "data_hash": data_hash(people.train),
        "validation_films": sorted({person.group for person in people.validation}),
        "last_epoch": trained.state["history"][-1],
    }
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    raw = write_bundle(config.out, manifest=manifest, tensors=tensors)
    calibration = calibrate(load_pose(raw.path, "cpu"), people.train)
    manifest["calibration"] = dataclasses.asdict(calibration)
    calibrated = write_bundle(config.out, manifest=manifest, tensors=tensors)
    manifest["metrics"] = measure_unseen(load_pose(calibrated.path, "cpu"), config)
    return write_bundle(config.out, manifest=manifest, tensors=tensors)


def _origin(config: TrainPoseConfig) -> dict[str, Any]:
    """Say whose weights a run starts from and whose joints it learns, for the manifest.

    Weights that do not fit are better known here than when the workers have started.
    """
    new_net(config)
    base: dict[str, Any] | str = Path(config.base_weights).name
    if Path(config.base_weights).is_dir():
        bundle = read_bundle(config.base_weights, "pose")
        kept = ("command", "base", "seed", "data_hash")
        base = {"model_id": bundle.model_id} | {k: bundle.manifest.get(k) for k in kept}
    teacher = None if config.teacher is None else read_bundle(config.teacher, "pose").model_id
    return {"base": base, "teacher": teacher}
