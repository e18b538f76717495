"""Detector training on Ray Train: from folders of labelled pictures to a bundle."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import ray.train.torch
import torch

from poseact.datasets.scene_views import draw_scenes
from poseact.datasets.scenes import LabelledScene, data_hash, read_scenes, scene_picture
from poseact.errors import InputError
from poseact.evaluation.detection import Matches, match_finds
from poseact.models.bundle import Bundle, read_bundle, write_bundle
from poseact.models.detection import Detector, PersonDetector, load_detector
from poseact.models.detector import DetectorNet
from poseact.training.command import command_line
from poseact.training.curves import write_curves
from poseact.training.detector_config import TrainDetectorConfig
from poseact.training.detector_step import DetectorTraining, new_detector
from poseact.training.epochs import Progress, RunEpoch, run_epochs, worker_shard
from poseact.training.fit import averaged_net
from poseact.training.runner import Trained, run_training

TRAIN, VALIDATION = "train", "val"

MAX_FALSE_PER_100_EMPTY = 5.0
"""What the shipped threshold must keep to in pictures of nobody."""


def train_detector(config: TrainDetectorConfig) -> int:
    """Fit the detector, write the bundle, measure it; return the exit code.

    Raises:
        InputError: If a folder cannot be read, or holds too few pictures for a step.
        ConfigError: If the weights to start from do not fit, or the cluster has no GPU.
        BundleError: If a bundle to start from cannot be used.
        OutputError: If the bundle cannot be written.
    """
    scenes = read_training_scenes(config)
    if len(scenes) < config.batch_size:
        raise InputError(
            f"{', '.join(map(str, config.data))}: {len(scenes)} pictures to learn from, fewer than "
            f"the {config.batch_size} of one step. Add data, or lower --batch-size."
        )
    print(f"{len(scenes)} pictures to learn from, and {config.rendered} rendered ones")
    new_detector(config)  # weights that do not fit are better known before workers start
    trained = run_training(
        _worker,
        {"config": config.absolute()},
        name=run_name(config, scenes),
        storage=config.storage,
        num_workers=config.num_workers,
        threads_per_worker=config.threads_per_worker,
        use_gpu=config.use_gpu,
    )
    bundle = _write(config, scenes, trained)
    write_curves(trained.state["history"], bundle.path)
    print(f"wrote {bundle.path} ({bundle.model_id})")
    return 0


def read_training_scenes(config: TrainDetectorConfig) -> list[LabelledScene]:
    """Read the train split of every folder; InputError if that is not possible."""
    scenes = [scene for folder in config.data for scene in read_scenes(folder, TRAIN)]
    if config.limit is not None and config.limit < len(scenes):
        return [scenes[row] for row in _spread(len(scenes), config.limit)]
    return scenes


def run_name(config: TrainDetectorConfig, scenes: Sequence[LabelledScene]) -> str:
    """Name the run after all that decides its result, so that the same command resumes it."""
    settings = dataclasses.asdict(config)
    for name in ("data", "out", "storage", "num_workers", "threads_per_worker", "use_gpu"):
        del settings[name]
    settings["base"] = _origin(config)
    text = json.dumps(settings, sort_keys=True, default=str) + data_hash(scenes)
    return f"detector-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def measure(detector: Detector, scenes: Sequence[LabelledScene]) -> Matches:
    """Look at scenes and tell hits from false finds."""
    found = [detector.detect([scene_picture(scene)])[0] for scene in scenes]
    return match_finds(scenes, found)


def _worker(loop_config: dict[str, Any]) -> None:
    """Train in one Ray Train worker."""
    config: TrainDetectorConfig = loop_config["config"]
    shard = worker_shard()
    torch.set_num_threads(config.threads_per_worker)
    scenes = read_training_scenes(config)
    training = DetectorTraining(
        config,
        len(scenes) + config.rendered,
        device=ray.train.torch.get_device(),
        shard=shard,
        wrap=ray.train.torch.prepare_model,
    )

    def prepare() -> tuple[RunEpoch, Progress]:
        canvases = draw_scenes(
            shard.of(scenes),
            num_rendered=config.rendered // shard.world_size,
            seed=config.seed + shard.rank,
        )
        validation = read_scenes(config.data[0], VALIDATION)
        return (
            lambda epoch: training.run_epoch(canvases, epoch),
            lambda: _progress(training.averaged, validation),
        )

    run_epochs(
        training, config, shard=shard, folder=loop_config["in_process_folder"], prepare=prepare
    )


def _progress(net: DetectorNet, scenes: Sequence[LabelledScene]) -> dict[str, float]:
    matches = measure(PersonDetector.from_net(net.eval()), scenes)
    best = matches.at(matches.best_threshold())
    figures = {"ap50": matches.average_precision(), **best}
    return {name: figures[name] or 0.0 for name in ("ap50", "precision", "recall")}


def _write(
    config: TrainDetectorConfig, scenes: Sequence[LabelledScene], trained: Trained
) -> Bundle:
    net = averaged_net(new_detector(config), config, trained.state)
    manifest: dict[str, Any] = {
        "kind": "detector",
        "name": "detector",
        "architecture": dataclasses.asdict(net.shape),
        "normalization": "(rgb - 114) / 64",
        "command": command_line("train-detector", config),
        "base": _origin(config),
        "seed": config.seed,
        "epochs": config.epochs,
        "num_pictures": len(scenes),
        "num_rendered": config.rendered,
        "data_hash": data_hash(scenes),
        "last_epoch": trained.state["history"][-1],
        "threshold": 0.5,
    }
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    raw = write_bundle(config.out, manifest=manifest, tensors=tensors)
    detector = load_detector(raw.path, "cpu")
    # not on pictures that were learned from: in those it finds nobody where nobody is
    matches = measure(detector, read_scenes(config.data[0], VALIDATION))
    manifest["threshold"] = matches.best_threshold(max_false_per_100_empty=MAX_FALSE_PER_100_EMPTY)
    report = matches.report(manifest["threshold"])
    manifest["metrics"] = [{"protocol": f"{config.data[0].name} {VALIDATION}", **report}]
    return write_bundle(config.out, manifest=manifest, tensors=tensors)


def _origin(config: TrainDetectorConfig) -> dict[str, Any] | str:
    """Say whose weights a run starts from, for the manifest."""
    if config.base_weights == "random":
        return config.base_weights
    bundle = read_bundle(config.base_weights, "detector", "pose")
    kept = ("command", "base", "seed", "data_hash")
    return {"model_id": bundle.model_id} | {name: bundle.manifest.get(name) for name in kept}


def _spread(count: int, wanted: int) -> list[int]:
    """Return ``wanted`` rows of ``count``, evenly spread."""
    rows: list[int] = np.linspace(0, count - 1, wanted).astype(int).tolist()
    return rows
