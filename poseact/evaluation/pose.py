"""`poseact evaluate-pose`: measure a pose bundle and print the table."""

import json
from pathlib import Path
from typing import Any

from poseact.errors import OutputError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.protocols import evaluate_protocol, guess_protocol
from poseact.models.runtime import load_pose

_GROUPS = ("wrist", "elbow", "shoulder", "head", "mean")


def evaluate_pose(config: EvaluatePoseConfig) -> int:
    """Measure a bundle, print the table, write the JSON; return the exit code.

    Raises:
        BundleError: If the bundle cannot be used.
        InputError: If the data cannot be read.
        OutputError: If the JSON cannot be written.
    """
    estimator = load_pose(config.bundle)
    protocol = config.protocol or guess_protocol(config.data)
    report = {
        "model_id": estimator.model_id,
        **evaluate_protocol(estimator, config.data, protocol, config.split),
    }
    print(format_report(report))
    if config.json is not None:
        write_json(config.json, report)
    return 0


def format_report(report: dict[str, Any]) -> str:
    """Lay out the figures of one protocol as text."""
    low, high = report["pck_0.2_mean_interval"]
    confidence = report["confidence"]
    lines = [
        f"protocol  {report['protocol']}",
        f"model     {report['model_id']}",
        f"people    {report['num_people']}",
        "",
        _row("PCK, %", _GROUPS),
        *(_row(f"@{alpha}", _values(pck)) for alpha, pck in report["pck"].items()),
        _row("@0.2 observer-centric", _values(report["observer_centric_pck"]["0.2"])),
    ]
    if "jittered_crops_pck" in report:
        lines.append(_row("@0.2 jittered crops", _values(report["jittered_crops_pck"]["0.2"])))
    lines.append(_row("@0.2 mean pose (the floor)", _values(report["mean_pose"]["pck"]["0.2"])))
    if len(report["groups"]) > 1:
        lines += [_row(f"@0.2 {name}", _values(pck)) for name, pck in report["groups"].items()]
    return "\n".join(
        [
            *lines,
            f"@0.2 mean: 95 % interval {low:.1f} .. {high:.1f}; AUC 0..0.2 {report['auc']:.1f}",
            f"left and right swapped: {report['swap_rate']:.1f} % of people",
            f"confidence against a hit @0.2: {_calibration(confidence)}",
            "",
            "in 224-pixel crops            mean px  median px  MSE px^2      R2",
            _coordinate_row("this model", report),
            _coordinate_row("mean pose (the floor)", report["mean_pose"]),
        ]
    )


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write figures to a file; OutputError if that is not possible."""
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error


def _calibration(confidence: dict[str, float | None]) -> str:
    auroc, ece = confidence["auroc"], confidence["ece"]
    ranking = "all alike" if auroc is None else f"AUROC {auroc:.3f}"
    return f"{ranking}, ECE {ece:.3f}"


def _values(pck: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{pck[group]:.1f}" for group in _GROUPS)


def _row(label: str, cells: tuple[str, ...]) -> str:
    return f"{label:<27}" + "".join(f"{cell:>10}" for cell in cells)


def _coordinate_row(label: str, errors: dict[str, float]) -> str:
    return (
        f"{label:<27}{errors['mean_error_px']:>11.1f}{errors['median_error_px']:>11.1f}"
        f"{errors['mse_px2']:>10.1f}{errors['r2']:>8.3f}"
    )
