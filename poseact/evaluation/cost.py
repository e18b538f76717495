"""What a pose model costs: parameters, arithmetic, and time on one CPU thread."""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from poseact.models.bundle import read_bundle
from poseact.models.looks import CropModel
from poseact.models.pose import PoseNet
from poseact.models.presets import pose_net
from poseact.models.runtime import PoseEstimator, load_pose

ROUNDS: Final = {1: 30, 16: 5}
"""Timed calls by batch size, after a third as many to warm up."""


def bundle_cost(bundle: Path | None) -> dict[str, Any]:
    """Return what a bundle costs, ready for JSON.

    Args:
        bundle: Its folder; None takes the one that ships with the package.

    Returns:
        ``parameters``, ``gflop_per_crop``, and by batch size ``cpu_ms_per_crop`` of the runtime and
        ``eager_torch_ms_per_crop`` of the same done by torch in float32. GFLOP are those of one
        look; a bundle with a mirror test looks twice.

    Raises:
        BundleError: If the bundle cannot be used.
    """
    contents = read_bundle(bundle, "pose")
    net = pose_net(contents)
    by_torch = PoseEstimator.from_net(net, mirror_test=contents.manifest.get("mirror_test", False))
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "gflop_per_crop": _gflop(net),
        "cpu_ms_per_crop": cpu_ms(load_pose(bundle, "cpu")),
        "eager_torch_ms_per_crop": cpu_ms(by_torch),
    }


def cpu_ms(model: CropModel) -> dict[str, float]:
    """Return the median milliseconds that a crop takes, by batch size, on one thread.

    Args:
        model: Runs on the CPU.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {str(batch): _median_ms(model, batch) for batch in ROUNDS}
    finally:
        torch.set_num_threads(threads)


def _gflop(net: PoseNet) -> float:
    """Count two operations for each multiplication and addition of one crop."""
    size_px = net.shape.input_px
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, size_px, size_px))
    return float(counter.get_total_flops()) / 1e9


def _median_ms(model: CropModel, batch: int) -> float:
    size_px, rounds = model.input_px, ROUNDS[batch]
    rng = np.random.default_rng(0)
    crops_BHWC = rng.integers(0, 256, (batch, size_px, size_px, 3), np.uint8)
    seconds = []
    for _ in range(rounds + rounds // 3 + 1):
        started = time.perf_counter()
        model.predict(crops_BHWC)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[-rounds:])) / batch
