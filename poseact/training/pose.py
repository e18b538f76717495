"""Pose training on Ray Train: from folders of labelled people to a bundle."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch

from poseact.datasets.canvas import concatenate, draw_canvases, render_canvases
from poseact.datasets.flic import read_flic
from poseact.datasets.folders import read_crop_folder, read_people_folder
from poseact.datasets.person import LabelledPerson, joints_square
from poseact.errors import InputError
from poseact.evaluation.pck import PoseErrors
from poseact.evaluation.protocols import evaluate_protocol, guess_protocol, predict_people
from poseact.models.bundle import Bundle, write_bundle
from poseact.models.export import to_onnx
from poseact.models.pose import PoseNet
from poseact.models.runtime import PoseEstimator
from poseact.skeleton import JOINTS
from poseact.training import checkpoints
from poseact.training.command import command_line
from poseact.training.config import TrainPoseConfig
from poseact.training.pose_step import PoseTraining, Shard
from poseact.training.runner import run_training

MIN_LABELLED_JOINTS = 4
MIN_SQUARE_PX = 40
"""People smaller than this or with fewer labelled joints teach more noise than pose."""

CROP_MARGIN = 1.6
"""Side of the training square over the joints' extent, for people cut out around their joints."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PosePeople:
    """Whom a run learns from, and on whom it watches its progress."""

    train: list[LabelledPerson]
    validation: list[LabelledPerson]


def train_pose(config: TrainPoseConfig) -> int:
    """Fit the pose model, write the bundle, measure it; return the exit code.

    Raises:
        InputError: If a folder cannot be read, or holds too few people for a step.
        OutputError: If the bundle cannot be written.
    """
    people = read_people(config)
    num_people = len(people.train) + config.rendered
    if num_people < config.batch_size:
        raise InputError(
            f"{', '.join(map(str, config.data))}: {num_people} people to learn from, fewer than "
            f"the {config.batch_size} of one step. Add data, or lower --batch-size."
        )
    print(f"{len(people.train)} people to learn from, {len(people.validation)} to watch progress")
    trained = run_training(
        _worker,
        {"config": config.absolute()},
        name=run_name(config, people.train),
        storage=config.storage,
        num_workers=config.num_workers,
        threads_per_worker=config.threads_per_worker,
        use_gpu=config.use_gpu,
    )
    training = PoseTraining(config, num_people, device=torch.device("cpu"), shard=Shard())
    training.load_state_dict(trained.state)
    net = training.averaged.eval()
    bundle = _write(config, net, people, trained.metrics)
    print(f"wrote {bundle.path} ({bundle.model_id})")
    return 0


def read_people(config: TrainPoseConfig) -> PosePeople:
    """Read everybody that the settings allow to learn from.

    Returns:
        People in a fixed order; the first ``validation_films`` films by hash of their name are
        held out. Without FLIC nobody is, and progress is told by the loss alone.
    """
    everybody = [person for folder in config.data for person in _read_folder(folder, config)]
    films = {person.group for person in everybody if person.official_split}
    held_out = sorted(films, key=_digest)[: config.validation_films]
    return PosePeople(
        train=[person for person in everybody if person.group not in held_out],
        validation=[person for person in everybody if person.group in held_out],
    )


def run_name(config: TrainPoseConfig, people: Sequence[LabelledPerson]) -> str:
    """Name the run after all that decides its result, so that the same command resumes it."""
    settings = dataclasses.asdict(config)
    for name in ("data", "out", "storage", "num_workers", "threads_per_worker", "use_gpu"):
        del settings[name]
    text = json.dumps(settings, sort_keys=True) + data_hash(people)
    return f"pose-{config.preset}-{_digest(text)[:8]}"


def data_hash(people: Sequence[LabelledPerson]) -> str:
    """Return the hash of the names and labels of people."""
    digest = hashlib.sha256()
    for person in people:
        digest.update(person.path.name.encode())
        digest.update(person.joints_J3.tobytes())
    return digest.hexdigest()[:12]


def _read_folder(folder: Path, config: TrainPoseConfig) -> list[LabelledPerson]:
    protocol = guess_protocol(folder)
    if protocol == "video":
        raise InputError(f"{folder}: reference joints are for measuring, never for training.")
    if protocol == "people":
        return [person for person in read_people_folder(folder, "train") if _is_clear(person)]
    if protocol == "crops":
        people = read_crop_folder(folder)
    else:
        people = [person for person in read_flic(folder) if _may_learn_from(person, config)]
    return [
        dataclasses.replace(person, square=joints_square(person.joints_J3, margin=CROP_MARGIN))
        for person in people
    ]


def _is_clear(person: LabelledPerson) -> bool:
    num_labelled = int((person.joints_J3[:, 2] > 0).sum())
    return num_labelled >= MIN_LABELLED_JOINTS and person.square[2] >= MIN_SQUARE_PX


def _may_learn_from(person: LabelledPerson, config: TrainPoseConfig) -> bool:
    supplied = person.split != "test" or config.flic_train == "official"
    official = person.official_split != "test" or config.flic_train == "supplied"
    return supplied and official


def _worker(loop_config: dict[str, Any]) -> None:
    """Train in one Ray Train worker."""
    config: TrainPoseConfig = loop_config["config"]
    folder: Path | None = loop_config["in_process_folder"]
    context = ray.train.get_context()
    shard = Shard(rank=context.get_world_rank(), world_size=context.get_world_size())
    torch.set_num_threads(config.threads_per_worker)
    people = read_people(config)
    training = PoseTraining(
        config,
        len(people.train) + config.rendered,
        device=ray.train.torch.get_device(),
        shard=shard,
        wrap=ray.train.torch.prepare_model,
    )
    first_epoch = _resume(training, checkpoints.last_state(folder))
    if first_epoch == config.epochs:
        return
    canvases = concatenate(
        draw_canvases(shard.of(people.train)),
        render_canvases(config.rendered // shard.world_size, seed=config.seed + shard.rank),
    )
    for epoch in range(first_epoch, config.epochs):
        started = time.monotonic()
        metrics = {"epoch": epoch + 1, "loss": training.run_epoch(canvases, epoch)}
        state = None
        if shard.rank == 0 and _is_due(epoch + 1, config):
            metrics |= _progress(training, people.validation)
            state = {**training.state_dict(), "epoch": epoch + 1}
        metrics["epoch_s"] = time.monotonic() - started
        if shard.rank == 0:
            print(" ".join(f"{name} {value:.4g}" for name, value in metrics.items()), flush=True)
        checkpoints.report(metrics, state, folder)


def _is_due(epochs_done: int, config: TrainPoseConfig) -> bool:
    return epochs_done % config.checkpoint_every == 0 or epochs_done == config.epochs


def _resume(training: PoseTraining, state: dict[str, Any] | None) -> int:
    if state is None:
        return 0
    training.load_state_dict(state)
    return int(state["epoch"])


def _progress(training: PoseTraining, people: Sequence[LabelledPerson]) -> dict[str, float]:
    if not people:
        return {}
    net = training.averaged.eval()
    found_PJ3 = predict_people(PoseEstimator.from_net(net), people)
    true_PJ2 = np.stack([person.joints_J3[:, :2] for person in people])
    torso_P = np.array([person.torso_px for person in people], np.float32)
    pck = PoseErrors.measure(found_PJ3[..., :2], true_PJ2, torso_P).pck(0.2)
    return {f"pck_{group}": value for group, value in pck.items()}


def _write(
    config: TrainPoseConfig, net: PoseNet, people: PosePeople, progress: Mapping[str, Any]
) -> Bundle:
    manifest = {
        "kind": "pose",
        "name": f"pose-{config.preset}",
        "architecture": dataclasses.asdict(net.architecture),
        "joints": list(JOINTS),
        "normalization": "(rgb - 114) / 64",
        "command": command_line("train-pose", config),
        "seed": config.seed,
        "epochs": config.epochs,
        "num_people": len(people.train),
        "num_rendered": config.rendered,
        "data_hash": data_hash(people.train),
        "validation_films": sorted({person.group for person in people.validation}),
        "last_epoch": dict(progress),
        "metrics": measure_unseen(PoseEstimator.from_net(net), config),
    }
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    return write_bundle(config.out, manifest=manifest, tensors=halves, onnx=to_onnx(net))


def measure_unseen(estimator: PoseEstimator, config: TrainPoseConfig) -> list[dict[str, Any]]:
    """Measure a model on the people of its data folders that it did not learn from."""
    flic_protocols = ["supplied", "official"]
    if config.flic_train != "both":
        flic_protocols = [config.flic_train]
    protocols = {"people": ["people"], "supplied": flic_protocols, "official": flic_protocols}
    reports = [
        evaluate_protocol(estimator, folder, protocol)
        for folder in config.data
        for protocol in protocols.get(guess_protocol(folder), [])
    ]
    per_group = "groups"  # long; `poseact evaluate-pose` prints it
    return [{k: v for k, v in report.items() if k != per_group} for report in reports]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
