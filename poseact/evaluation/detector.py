"""`poseact evaluate-detector`: measure a detector bundle and print the table."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import poseact
from poseact.datasets.scenes import LabelledScene, data_hash, read_scenes, scene_picture
from poseact.evaluation.detection import HEIGHT_CLASSES, MIN_HEIGHT, match_finds
from poseact.evaluation.detector_config import EvaluateDetectorConfig
from poseact.evaluation.detector_peer import load_detector_peer
from poseact.evaluation.report import source_commit, write_json
from poseact.models.detection import Detections, Detector, load_detector

_LABEL_WIDTH = 30


def evaluate_detector(config: EvaluateDetectorConfig) -> int:
    """Measure a bundle, print the table, write the file asked for; return the exit code.

    Raises:
        BundleError: If the bundle cannot be used.
        ConfigError: If the peer is of an unknown kind, or its package is missing.
        InputError: If the data or the peer cannot be read.
        OutputError: If the file cannot be written.
    """
    torch.set_num_threads(1)  # the time of a picture is that of one thread
    peer = None if config.peer is None else load_detector_peer(config.peer)
    detector = load_detector(config.bundle, "cpu")
    scenes = read_scenes(config.data, config.split)
    report = {
        "protocol": f"detection, {config.data.name} {config.split}, IoU 0.5, crowds and people "
        f"below {100 * MIN_HEIGHT:.0f} % of the longer side ignored",
        "package_version": poseact.__version__,
        "commit": source_commit(),
        "data_hash": data_hash(scenes),
        "num_pictures": len(scenes),
        "num_empty": sum(scene.is_empty for scene in scenes),
        **measure_detector(detector, scenes, config.threshold or detector.threshold),
    }
    if peer is not None:
        report["peer"] = measure_detector(peer, scenes, peer.threshold)
    print(format_report(report))
    if config.json is not None:
        write_json(config.json, report)
    return 0


def measure_detector(
    detector: Detector, scenes: Sequence[LabelledScene], threshold: float
) -> dict[str, Any]:
    """Run a detector on pictures.

    Args:
        detector: The detector.
        scenes: The pictures.
        threshold: Score from which a find is taken for a person.

    Returns:
        Figures by name, ready for JSON: shares in percent, time in milliseconds.
    """
    found, cpu_ms = _find_people(detector, scenes)
    matches = match_finds(scenes, found)
    return {
        "model_id": detector.model_id,
        "cpu_ms_per_picture": cpu_ms,
        "num_people": len(matches.heights_P),
        **matches.report(threshold),
    }


def format_report(report: dict[str, Any]) -> str:
    """Lay out the figures as text."""
    code = f"poseact {report['package_version']}, commit {report['commit'] or 'unknown'}"
    data = (
        f"{report['num_people']} people in {report['num_pictures']} pictures, "
        f"{report['num_empty']} of which hold nobody, hash {report['data_hash']}"
    )
    return "\n".join(
        [
            f"protocol  {report['protocol']}",
            f"code      {code}",
            f"data      {data}",
            "",
            _row("height, % of the longer side", ["all", *HEIGHT_CLASSES]),
            _figure_row("people", report, "num_people", 0),
            *_model_rows(report),
            *(_model_rows(report["peer"]) if "peer" in report else []),
        ]
    )


def _find_people(
    detector: Detector, scenes: Sequence[LabelledScene]
) -> tuple[list[Detections], float]:
    """Return what is found in each picture, and the median time of a picture, milliseconds."""
    found, seconds = [], []
    for scene in scenes:
        picture_HWC = scene_picture(scene)
        started = time.perf_counter()
        found += detector.detect([picture_HWC])
        seconds.append(time.perf_counter() - started)
    return found, 1000 * float(np.median(seconds))


def _model_rows(figures: dict[str, Any]) -> list[str]:
    best = figures["best_f1"]
    best_f1 = f"precision {_cell(best['precision'])}, recall {_cell(best['recall'])}"
    return [
        "",
        f"{figures['model_id']}, {figures['cpu_ms_per_picture']:.1f} ms a picture on one thread",
        *(_figure_row(name, figures, name, 1) for name in ("ap50", "precision", "recall")),
        _row("threshold", [f"{figures['threshold']:.3f}"]),
        _figure_row("false_per_100_empty", figures, "false_per_100_empty", 1),
        f"best F1: {best_f1}, threshold {best['threshold']:.3f}",
    ]


def _figure_row(label: str, figures: dict[str, Any], name: str, digits: int) -> str:
    parts = [figures, *figures["by_height"].values()]
    return _row(label, [_cell(part[name], digits) for part in parts])


def _cell(figure: float | None, digits: int = 1) -> str:
    return "-" if figure is None else f"{figure:.{digits}f}"


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<{_LABEL_WIDTH}}" + "".join(f"{cell:>8}" for cell in cells)
